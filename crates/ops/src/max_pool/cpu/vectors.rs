//! Maximum pooling in float32, in vectors along the lines of the output.
//!
//! The maximum of a window is that of its lines' maxima, and "the first of equal elements, the last NaN" holds for lines of
//! a window as it does for elements of a line.

use super::has_byte_taps;
use crate::parallel;
use crate::simd::{LONGEST, Tier, lanes, load, load_pairs, store, store_bytes, store_new};
use crate::window::lines::{Band, Part, Parts, bands, by_output};
use crate::window::runs::{Runs, pairs, planes_a_task};
use crate::window::{Axis, PoolDims};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Elements of the lines of a band, which should stay in the first-level cache.
const BAND: usize = 1 << 12;

/// Whether [`forward`] computes this geometry.
pub(super) fn serves(dims: &PoolDims) -> bool {
    has_byte_taps(dims) && Runs::serve(dims)
}

/// The maxima of all windows.
pub(super) fn forward(tier: Tier, dims: &PoolDims, x: &[f32]) -> Vec<f32> {
    let plan = Plan::new(dims);
    let (planes, len) = (planes_a_task(dims), dims.planes.output_len);
    let task = |task: usize, y: &mut [MaybeUninit<f32>]| {
        let x = &x[task * planes * plan.plane_in..];
        tier.run(Maxima::<false> { plan: &plan, x, out: Out { y, taps: &mut [] } });
    };
    // SAFETY: `Maxima` writes all columns of all lines of its planes.
    unsafe { parallel::build_unfilled(len, f32::NAN, planes * plan.plane_out, planes * dims.work(), task) }
}

/// The maxima of all windows and the taps that hold them.
pub(super) fn forward_with_taps(tier: Tier, dims: &PoolDims, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let plan = Plan::new(dims);
    let (planes, len) = (planes_a_task(dims), dims.planes.output_len);
    let task = |task: usize, y: &mut [MaybeUninit<f32>], taps: &mut [MaybeUninit<u8>]| {
        let x = &x[task * planes * plan.plane_in..];
        tier.run(Maxima::<true> { plan: &plan, x, out: Out { y, taps } });
    };
    let item = planes * plan.plane_out;
    // SAFETY: `Maxima` writes all columns of all lines of its planes, and as many taps.
    unsafe { parallel::build_pair_unfilled(len, (f32::NAN, 0), item, planes * dims.work(), task) }
}

/// What is the same for every plane.
struct Plan<'a> {
    plane_in: usize,
    plane_out: usize,
    width: &'a Axis,
    parts: Parts,
    /// None where windows of two columns lie side by side, whose lines need no copies.
    bands: Option<Bands>,
}

/// Lines of windows that are pooled together, from copies of the lines that they hold.
struct Bands {
    bands: Vec<Band>,
    runs: Runs,
    /// Elements of a line of maxima.
    pitch: usize,
    /// The first tap of each window that does not lie in the padding.
    first: Vec<u32>,
    /// The most lines that a band has.
    lines: usize,
}

impl<'a> Plan<'a> {
    fn new(dims: &'a PoolDims) -> Self {
        let (width, parts) = (dims.width(), by_output(dims));
        let (plane_in, plane_out) = (dims.planes.plane_in, dims.planes.plane_out);
        let (parts, bands) = if pairs(width) {
            (parts, None)
        } else {
            let (bands, parts) = Bands::new(width, parts);
            (parts, Some(bands))
        };
        Self { plane_in, plane_out, width, parts, bands }
    }
}

impl Bands {
    fn new(width: &Axis, parts: Parts) -> (Self, Parts) {
        let (runs, pitch) = (Runs::new(width), width.output.next_multiple_of(LONGEST));
        let mut first: Vec<u32> = width.spans.iter().map(|span| span.tap as u32).collect();
        first.resize(pitch, 0);
        let (parts, bands) = bands(parts, BAND / (runs.len() + 2 * pitch));
        let lines = bands.iter().map(|band| band.inputs.len()).max().unwrap_or(0);
        (Self { bands, runs, pitch, first, lines }, parts)
    }
}

/// The maxima of consecutive planes and, where they are wanted, their taps.
struct Maxima<'a, const TAPS: bool> {
    plan: &'a Plan<'a>,
    x: &'a [f32],
    out: Out<'a>,
}

/// Where the maxima are written, and their taps.
struct Out<'a> {
    y: &'a mut [MaybeUninit<f32>],
    taps: &'a mut [MaybeUninit<u8>],
}

impl<const TAPS: bool> WithSimd for Maxima<'_, TAPS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { plan, x, mut out } = self;
        let mut scratch = plan.bands.as_ref().map(Scratch::new);
        for plane in 0..out.y.len() / plan.plane_out {
            let (x, first) = (&x[plane * plan.plane_in..], plane * plan.plane_out);
            match (&plan.bands, &mut scratch) {
                (Some(bands), Some(scratch)) => {
                    for band in &bands.bands {
                        band_maxima::<S, TAPS>(simd, plan, bands, band, x, scratch, out.from::<TAPS>(first));
                    }
                }
                _ => pair_plane::<S, TAPS>(simd, plan, x, out.from::<TAPS>(first)),
            }
        }
    }
}

impl Out<'_> {
    #[inline(always)]
    fn from<const TAPS: bool>(&mut self, first: usize) -> Out<'_> {
        Out { y: &mut self.y[first..], taps: if TAPS { &mut self.taps[first..] } else { &mut [] } }
    }

    /// Writes as many maxima and taps as there is room for.
    #[inline(always)]
    fn put<S: Simd, const TAPS: bool>(&mut self, simd: S, at: usize, largest: Largest<S>) {
        store_new(simd, &mut self.y[at..], largest.max);
        if TAPS {
            store_bytes(simd, &mut self.taps[at..], largest.tap);
        }
    }
}

/// A maximum and its tap, a lane each.
struct Largest<S: Simd> {
    max: S::f32s,
    tap: S::u32s,
}

impl<S: Simd> Clone for Largest<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Largest<S> {}

impl<S: Simd> Largest<S> {
    /// With what comes behind it: the first of equal elements stays, the last NaN wins. Whether there is any NaN at all,
    /// `NAN` says.
    #[inline(always)]
    fn and<const TAPS: bool, const NAN: bool>(self, simd: S, next: Self) -> Self {
        let mut wins = simd.less_than_f32s(self.max, next.max);
        if NAN {
            wins = simd.or_m32s(wins, simd.not_m32s(simd.equal_f32s(next.max, next.max)));
        }
        let max = simd.select_f32s(wins, next.max, self.max);
        let tap = if TAPS { simd.select_u32s(wins, next.tap, self.tap) } else { self.tap };
        Self { max, tap }
    }
}

/// One plane of windows whose lines are pairs of columns. A vector may run on over the end of its line: what it writes there
/// is written again.
#[inline(always)]
fn pair_plane<S: Simd, const TAPS: bool>(simd: S, plan: &Plan<'_>, x: &[f32], mut out: Out<'_>) {
    let width = plan.width.output;
    for line in 0..plan.parts.len() {
        let parts = plan.parts.of(line);
        for column in (0..width).step_by(S::F32_LANES) {
            let mut all = pair_maxima::<S, TAPS>(simd, parts[0], x, column);
            for part in &parts[1..] {
                all = all.and::<TAPS, true>(simd, pair_maxima::<S, TAPS>(simd, *part, x, column));
            }
            out.put::<S, TAPS>(simd, line * width + column, all);
        }
    }
}

/// The larger of each two columns, from window `column` on.
#[inline(always)]
fn pair_maxima<S: Simd, const TAPS: bool>(simd: S, part: Part, x: &[f32], column: usize) -> Largest<S> {
    let [even, odd] = load_pairs(simd, &x[part.line + 2 * column..]);
    let first = Largest { max: even, tap: simd.splat_u32s(part.tap) };
    first.and::<TAPS, true>(simd, Largest { max: odd, tap: simd.splat_u32s(part.tap + 1) })
}

/// The copies of a band's lines, and their maxima.
struct Scratch {
    lines: Vec<f32>,
    maxima: Vec<f32>,
    taps: Vec<u32>,
}

impl Scratch {
    fn new(bands: &Bands) -> Self {
        Self {
            lines: vec![f32::NEG_INFINITY; bands.lines * bands.runs.len()],
            maxima: vec![0.; bands.lines * bands.pitch],
            taps: vec![0; bands.lines * bands.pitch],
        }
    }
}

#[inline(always)]
fn band_maxima<S: Simd, const TAPS: bool>(
    simd: S,
    plan: &Plan<'_>,
    bands: &Bands,
    band: &Band,
    x: &[f32],
    scratch: &mut Scratch,
    out: Out<'_>,
) {
    let mut nan = lanes(simd, 0);
    for (&start, copy) in band.inputs.iter().zip(scratch.lines.chunks_exact_mut(bands.runs.len())) {
        let found = bands.runs.copy(simd, &x[start..], copy, f32::NEG_INFINITY);
        nan = simd.or_m32s(nan, found);
    }
    if simd.first_true_m32s(nan) < S::F32_LANES {
        across::<S, TAPS, true>(simd, plan.width, bands, band, scratch);
        down::<S, TAPS, true>(simd, plan, bands, band, scratch, out);
    } else {
        across::<S, TAPS, false>(simd, plan.width, bands, band, scratch);
        down::<S, TAPS, false>(simd, plan, bands, band, scratch, out);
    }
}

/// The maxima of a band's lines.
#[inline(always)]
fn across<S: Simd, const TAPS: bool, const NAN: bool>(
    simd: S,
    width: &Axis,
    bands: &Bands,
    band: &Band,
    scratch: &mut Scratch,
) {
    let (line, pitch, taps) = (bands.runs.len(), bands.pitch, &bands.runs.taps);
    for i in 0..band.inputs.len() {
        let x = &scratch.lines[i * line..][..line];
        let (maxima, found) = (&mut scratch.maxima[i * pitch..], &mut scratch.taps[i * pitch..]);
        for column in (0..width.output).step_by(S::F32_LANES) {
            let mut all = Largest::<S> {
                max: load::<S>(&x[taps[0] + column..]),
                tap: S::as_simd_u32s(&bands.first[column..][..S::U32_LANES]).0[0],
            };
            for (tap, start) in taps.iter().enumerate().skip(1) {
                let next = Largest { max: load::<S>(&x[start + column..]), tap: simd.splat_u32s(tap as u32) };
                all = all.and::<TAPS, NAN>(simd, next);
            }
            store(simd, &mut maxima[column..], all.max);
            if TAPS {
                S::as_mut_simd_u32s(&mut found[column..][..S::U32_LANES]).0[0] = all.tap;
            }
        }
    }
}

/// The maxima of a band's windows from those of its lines.
#[inline(always)]
fn down<S: Simd, const TAPS: bool, const NAN: bool>(
    simd: S,
    plan: &Plan<'_>,
    bands: &Bands,
    band: &Band,
    scratch: &Scratch,
    mut out: Out<'_>,
) {
    let width = plan.width.output;
    for line in band.outputs.clone() {
        let parts = plan.parts.of(line);
        for column in (0..width).step_by(S::F32_LANES) {
            let mut all = of_line::<S, TAPS>(simd, bands, scratch, parts[0], column);
            for part in &parts[1..] {
                all = all.and::<TAPS, NAN>(simd, of_line::<S, TAPS>(simd, bands, scratch, *part, column));
            }
            out.put::<S, TAPS>(simd, line * width + column, all);
        }
    }
}

#[inline(always)]
fn of_line<S: Simd, const TAPS: bool>(
    simd: S,
    bands: &Bands,
    scratch: &Scratch,
    part: Part,
    column: usize,
) -> Largest<S> {
    let at = part.line * bands.pitch + column;
    let max = load::<S>(&scratch.maxima[at..]);
    let first = simd.splat_u32s(part.tap);
    if TAPS {
        let tap = S::as_simd_u32s(&scratch.taps[at..][..S::U32_LANES]).0[0];
        Largest { max, tap: simd.add_u32s(tap, first) }
    } else {
        Largest { max, tap: first }
    }
}
