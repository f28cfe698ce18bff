//! Average pooling in float32, in vectors along the lines. The elements of a window are added in their order, and the
//! shares of an element in that of their taps, as the scalar kernels do it: to the same bits.

use super::super::spec::Divisor;
use super::divisors;
use crate::parallel;
use crate::simd::{LONGEST, Tier, lanes, load, load_lanes, load_pairs, store, store_new, store_pairs};
use crate::window::PoolDims;
use crate::window::lines::{Band, Part, Parts, bands, by_input, by_output};
use crate::window::runs::{Reach, Reaches, Runs, pairs, planes_a_task};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Elements of the lines of a band, which should stay in the first-level cache.
const BAND: usize = 1 << 12;

/// Whether [`forward`] computes this geometry.
pub(super) fn serves(dims: &PoolDims) -> bool {
    Runs::serve(dims)
}

/// Whether [`input_grad`] computes this geometry.
pub(super) fn serves_input_grad(dims: &PoolDims) -> bool {
    Reaches::serve(dims)
}

/// The means of all windows.
pub(super) fn forward(tier: Tier, dims: &PoolDims, divisor: Divisor, x: &[f32]) -> Vec<f32> {
    let (planes, scales) = (planes_a_task(dims), Scales::new(dims, divisor));
    let (plane_in, plane_out) = (dims.planes.plane_in, dims.planes.plane_out);
    let runs = (!pairs(dims.width())).then(|| Runs::new(dims.width()));
    let lines = runs.as_ref().map_or(usize::MAX, |runs| BAND / runs.len());
    let (parts, bands) = match &runs {
        None => (by_output(dims), Vec::new()),
        Some(_) => bands(by_output(dims), lines),
    };
    let task = |task: usize, y: &mut [MaybeUninit<f32>]| {
        let x = &x[task * planes * plane_in..];
        let means = Means { dims, scales: &scales, parts: &parts, runs: runs.as_ref(), bands: &bands, x, y };
        tier.run(means);
    };
    // SAFETY: `Means` writes all columns of all lines of its planes.
    unsafe {
        parallel::build_unfilled(dims.planes.output_len, f32::NAN, planes * plane_out, planes * dims.work(), task)
    }
}

/// `dy` over its divisor, added to every element of its window.
pub(super) fn input_grad(tier: Tier, dims: &PoolDims, divisor: Divisor, dy: &[f32]) -> Vec<f32> {
    let (planes, scales) = (planes_a_task(dims), Scales::new(dims, divisor));
    let (plane_in, plane_out) = (dims.planes.plane_in, dims.planes.plane_out);
    let reaches = (!pairs(dims.width())).then(|| Reaches::new(dims.width()));
    let parts = by_input(dims);
    let task = |task: usize, dx: &mut [MaybeUninit<f32>]| {
        let outputs = task * planes * plane_out..(task * planes + dx.len() / plane_in) * plane_out;
        tier.run(Spread { dims, scales: &scales, parts: &parts, reaches: reaches.as_ref(), dy: &dy[outputs], dx });
    };
    let len = dims.planes.input.iter().product();
    // SAFETY: `Spread` writes all columns of all lines of its planes: `by_input` has a line for each.
    unsafe { parallel::build_unfilled(len, f32::NAN, planes * plane_in, planes * dims.work(), task) }
}

/// What the sums of one plane are divided by.
struct Scales {
    /// For each line where its divisors start.
    lines: Vec<usize>,
    /// Divisors of lines that differ, or their reciprocals.
    scales: Vec<f32>,
    /// Whether all divisors are powers of two: then a product is what the quotient is.
    reciprocal: bool,
}

impl Scales {
    fn new(dims: &PoolDims, divisor: Divisor) -> Self {
        let width = dims.width();
        let (mut lines, mut scales, mut last) = (Vec::new(), Vec::<f32>::new(), Vec::new());
        for row in dims.rows() {
            let mut line = vec![1.; width.output];
            divisors(&row, &width.spans, divisor, &mut line);
            if line != last {
                scales.resize(scales.len().next_multiple_of(LONGEST), 1.);
                last.clone_from(&line);
                lines.push(scales.len());
                scales.extend(line);
            } else if let Some(&start) = lines.last() {
                lines.push(start);
            }
        }
        scales.resize(scales.len().next_multiple_of(LONGEST), 1.);
        let reciprocal = scales.iter().all(|scale| scale.to_bits() << 9 == 0 && scale.abs() < 1e30);
        if reciprocal {
            scales.iter_mut().for_each(|scale| *scale = scale.recip());
        }
        Self { lines, scales, reciprocal }
    }

    /// The quotients of a line from `column` on.
    #[inline(always)]
    fn divide<S: Simd>(&self, simd: S, line: usize, column: usize, sum: S::f32s) -> S::f32s {
        let scale = load::<S>(&self.scales[self.lines[line] + column..]);
        if self.reciprocal { simd.mul_f32s(sum, scale) } else { simd.div_f32s(sum, scale) }
    }
}

/// The means of consecutive planes. A vector may run on over the end of its line: what it writes there is written again.
struct Means<'a> {
    dims: &'a PoolDims,
    scales: &'a Scales,
    parts: &'a Parts,
    /// None where windows of two columns lie side by side, whose lines need no copies.
    runs: Option<&'a Runs>,
    bands: &'a [Band],
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dims, scales, parts, runs, bands, x, y } = self;
        let (plane_in, plane_out) = (dims.planes.plane_in, dims.planes.plane_out);
        let most = bands.iter().map(|band| band.inputs.len()).max().unwrap_or(0);
        let mut copies = vec![0.; most * runs.map_or(0, Runs::len)];
        for plane in 0..y.len() / plane_out {
            let (x, y) = (&x[plane * plane_in..], &mut y[plane * plane_out..]);
            match runs {
                None => {
                    for line in 0..parts.len() {
                        pair_means(simd, dims, scales, parts.of(line), x, y, line);
                    }
                }
                Some(runs) => {
                    for band in bands {
                        for (&start, copy) in band.inputs.iter().zip(copies.chunks_exact_mut(runs.len())) {
                            runs.copy(simd, &x[start..], copy, 0.);
                        }
                        for line in band.outputs.clone() {
                            line_means(simd, dims, scales, parts.of(line), (runs, &copies), y, line);
                        }
                    }
                }
            }
        }
    }
}

/// One line of windows that are pairs of columns.
#[inline(always)]
fn pair_means<S: Simd>(
    simd: S,
    dims: &PoolDims,
    scales: &Scales,
    parts: &[Part],
    x: &[f32],
    y: &mut [MaybeUninit<f32>],
    line: usize,
) {
    let width = dims.width().output;
    for column in (0..width).step_by(S::F32_LANES) {
        let mut sum = simd.splat_f32s(0.);
        for part in parts {
            let [even, odd] = load_pairs(simd, &x[part.line + 2 * column..]);
            sum = simd.add_f32s(simd.add_f32s(sum, even), odd);
        }
        store_new(simd, &mut y[line * width + column..], scales.divide(simd, line, column, sum));
    }
}

/// One line of windows, from copies of the lines that they hold.
#[inline(always)]
fn line_means<S: Simd>(
    simd: S,
    dims: &PoolDims,
    scales: &Scales,
    parts: &[Part],
    (runs, copies): (&Runs, &[f32]),
    y: &mut [MaybeUninit<f32>],
    line: usize,
) {
    let width = dims.width().output;
    for column in (0..width).step_by(S::F32_LANES) {
        let mut sum = simd.splat_f32s(0.);
        for part in parts {
            let copy = &copies[part.line * runs.len()..][..runs.len()];
            for tap in &runs.taps {
                sum = simd.add_f32s(sum, load::<S>(&copy[tap + column..]));
            }
        }
        store_new(simd, &mut y[line * width + column..], scales.divide(simd, line, column, sum));
    }
}

/// The gradients of consecutive planes.
struct Spread<'a> {
    dims: &'a PoolDims,
    scales: &'a Scales,
    parts: &'a Parts,
    /// None where windows of two columns lie side by side.
    reaches: Option<&'a Reaches>,
    dy: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dims, scales, parts, reaches, dy, dx } = self;
        let (plane_in, plane_out, width) = (dims.planes.plane_in, dims.planes.plane_out, dims.width());
        let lines = plane_out / width.output;
        // The shares of a plane: what runs on over the end of a line must be zero.
        let (before, pitch) =
            reaches.map_or((0, width.output.next_multiple_of(LONGEST)), |reaches| (reaches.before, reaches.pitch));
        let mut shares = vec![0.; lines * pitch + LONGEST];
        for plane in 0..dx.len() / plane_in {
            for line in 0..lines {
                for column in (0..width.output).step_by(S::F32_LANES) {
                    let dy = &dy[plane * plane_out + line * width.output + column..];
                    let dy = load_lanes(simd, dy, lanes(simd, width.output - column), simd.splat_f32s(0.));
                    let share = scales.divide(simd, line, column, dy);
                    store(simd, &mut shares[line * pitch + before + column..], share);
                }
            }
            let dx = &mut dx[plane * plane_in..];
            for line in 0..parts.len() {
                let dx = &mut dx[line * width.input..];
                match reaches {
                    None => spread_pairs(simd, parts.of(line), (&shares, pitch), dx, width.input),
                    Some(reaches) => spread_line(simd, parts.of(line), (&shares, reaches), dx, width.input),
                }
            }
        }
    }
}

/// One line of the input under windows that are pairs of columns.
#[inline(always)]
fn spread_pairs<S: Simd>(
    simd: S,
    parts: &[Part],
    (shares, pitch): (&[f32], usize),
    dx: &mut [MaybeUninit<f32>],
    width: usize,
) {
    for column in (0..width).step_by(2 * S::F32_LANES) {
        let mut sum = simd.splat_f32s(0.);
        for part in parts {
            // Behind the last window there may be one column more.
            if column / 2 < pitch {
                sum = simd.add_f32s(sum, load::<S>(&shares[part.line * pitch + column / 2..]));
            }
        }
        store_pairs(simd, &mut dx[column..], [sum; 2]);
    }
}

/// One line of the input under any windows.
#[inline(always)]
fn spread_line<S: Simd>(
    simd: S,
    parts: &[Part],
    (shares, reaches): (&[f32], &Reaches),
    dx: &mut [MaybeUninit<f32>],
    width: usize,
) {
    let stride = reaches.residues.len();
    for column in (0..width).step_by(stride * S::F32_LANES) {
        let first = column / stride;
        match reaches.residues.as_slice() {
            [all] => store_new(simd, &mut dx[column..], gathered(simd, parts, all, shares, reaches.pitch, first)),
            [even, odd, ..] => {
                let even = gathered(simd, parts, even, shares, reaches.pitch, first);
                let odd = gathered(simd, parts, odd, shares, reaches.pitch, first);
                store_pairs(simd, &mut dx[column..], [even, odd]);
            }
            [] => {}
        }
    }
}

/// The sums of one residue's columns from `column` on.
#[inline(always)]
fn gathered<S: Simd>(
    simd: S,
    parts: &[Part],
    reaches: &[Reach],
    shares: &[f32],
    pitch: usize,
    column: usize,
) -> S::f32s {
    let mut sum = simd.splat_f32s(0.);
    for part in parts {
        // Tap after tap, which is from the last window on.
        for reach in reaches.iter().rev() {
            sum = simd.add_f32s(sum, load::<S>(&shares[part.line * pitch + reach.start + column..]));
        }
    }
    sum
}
