//! Padded copies of lines in which what a tap reads, along a line of windows, are neighbours: so pooling runs in vectors.

use super::{Axis, PoolDims};
use crate::simd::{LONGEST, deinterleave, lanes, load_lanes, store};
use pulp::Simd;

/// Work, in elements of windows, of planes that share scratch memory and a call.
const SHARE: usize = 1 << 15;

/// Strides up to which a copied line is no larger than a few lines.
const STRIDES: usize = 4;

/// Taps of a line up to which it is little padded.
const TAPS: usize = 1 << 8;

/// Planes that share scratch memory and a call.
pub(crate) fn planes_a_task(dims: &PoolDims) -> usize {
    (SHARE / dims.work().max(1)).max(1)
}

/// Whether the windows of a line are its columns two by two.
pub(crate) fn pairs(width: &Axis) -> bool {
    width.stride == 2 && width.kernel == 2 && width.side_by_side()
}

/// Copies of lines of the input, each residue of the columns modulo the stride on its own.
#[derive(Debug)]
pub(crate) struct Runs {
    input: usize,
    stride: usize,
    /// Columns of the padding on the left.
    padding: usize,
    /// Elements of a residue's run.
    pitch: usize,
    /// Where the run of each tap starts in a copy.
    pub(crate) taps: Vec<usize>,
}

impl Runs {
    /// Whether copies are of a sensible size.
    pub(crate) fn serve(dims: &PoolDims) -> bool {
        let width = dims.width();
        width.stride <= STRIDES && width.kernel <= TAPS && !dims.planes.is_empty()
    }

    pub(crate) fn new(width: &Axis) -> Self {
        let (input, stride, padding) = (width.input, width.stride, padding(width));
        let run = |tap: usize| [tap * width.dilation % stride, tap * width.dilation / stride];
        let reach = run(width.kernel - 1)[1] + 1 + width.output.next_multiple_of(LONGEST);
        let copied = padding.div_ceil(stride) + input.div_ceil(stride).next_multiple_of(LONGEST);
        let pitch = reach.max(copied);
        let taps = (0..width.kernel).map(run).map(|[residue, at]| residue * pitch + at).collect();
        Self { input, stride, padding, pitch, taps }
    }

    /// Elements of a copy.
    pub(crate) fn len(&self) -> usize {
        self.stride * self.pitch
    }

    /// Copies a line that starts with `x` into a copy that is `fill` elsewhere; gives the lanes that met a NaN.
    #[inline(always)]
    pub(crate) fn copy<S: Simd>(&self, simd: S, x: &[f32], copy: &mut [f32], fill: f32) -> S::m32s {
        let fill = simd.splat_f32s(fill);
        match self.stride {
            1 => self.copy_all(simd, x, copy, fill),
            2 => self.copy_halves(simd, x, copy, fill),
            _ => {
                let found = self.copy_residues(&x[..self.input], copy);
                lanes(simd, if found { S::F32_LANES } else { 0 })
            }
        }
    }

    #[inline(always)]
    fn copy_all<S: Simd>(&self, simd: S, x: &[f32], copy: &mut [f32], fill: S::f32s) -> S::m32s {
        let mut nan = lanes(simd, 0);
        for column in (0..self.input).step_by(S::F32_LANES) {
            let values = load_lanes(simd, &x[column..], lanes(simd, self.input - column), fill);
            store(simd, &mut copy[self.padding + column..], values);
            nan = simd.or_m32s(nan, simd.not_m32s(simd.equal_f32s(values, values)));
        }
        nan
    }

    #[inline(always)]
    fn copy_halves<S: Simd>(&self, simd: S, x: &[f32], copy: &mut [f32], fill: S::f32s) -> S::m32s {
        let &Self { input, padding, pitch, .. } = self;
        let even = padding % 2 * pitch + padding / 2;
        let odd = (padding + 1) % 2 * pitch + padding.div_ceil(2);
        let mut nan = lanes(simd, 0);
        for column in (0..input).step_by(2 * S::F32_LANES) {
            let a = load_lanes(simd, &x[column..], lanes(simd, input - column), fill);
            let behind = (column + S::F32_LANES).min(input);
            let b = load_lanes(simd, &x[behind..], lanes(simd, input - behind), fill);
            let [a, b] = deinterleave::<S>(a, b);
            store(simd, &mut copy[even + column / 2..], a);
            store(simd, &mut copy[odd + column / 2..], b);
            let numbers = simd.and_m32s(simd.equal_f32s(a, a), simd.equal_f32s(b, b));
            nan = simd.or_m32s(nan, simd.not_m32s(numbers));
        }
        nan
    }

    fn copy_residues(&self, x: &[f32], copy: &mut [f32]) -> bool {
        let &Self { stride, padding, pitch, .. } = self;
        let mut nan = false;
        for residue in 0..stride {
            let first = (residue + stride - padding % stride) % stride;
            let to = &mut copy[residue * pitch + (first + padding) / stride..];
            for (to, &x) in to.iter_mut().zip(x.iter().skip(first).step_by(stride)) {
                *to = x;
                nan |= x.is_nan();
            }
        }
        nan
    }
}

/// Copies of lines of the output, from which the columns of the input gather.
#[derive(Debug)]
pub(crate) struct Reaches {
    /// Columns before the first.
    pub(crate) before: usize,
    /// Elements of a copy.
    pub(crate) pitch: usize,
    /// For each residue of the columns modulo the stride the taps that reach it, in the order of their windows.
    pub(crate) residues: Vec<Vec<Reach>>,
}

/// A tap, and where in a copy the windows begin that hold a residue's columns under it.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) tap: u32,
    pub(crate) start: usize,
}

impl Reaches {
    /// Whether copies are of a sensible size, and residues few enough to write side by side.
    pub(crate) fn serve(dims: &PoolDims) -> bool {
        Runs::serve(dims) && dims.width().stride <= 2
    }

    pub(crate) fn new(width: &Axis) -> Self {
        let (stride, padding) = (width.stride as isize, padding(width) as isize);
        // Column `stride · j + residue` lies under a tap of window `j + shift`.
        let shifts = |residue: isize| {
            let shift = move |tap: usize| {
                let apart = residue + padding - (tap * width.dilation) as isize;
                (apart % stride == 0).then_some((tap, apart / stride))
            };
            (0..width.kernel).rev().filter_map(shift)
        };
        let all = || (0..stride).flat_map(shifts).map(|(_, shift)| shift);
        let before = all().map(|shift| -shift).max().unwrap_or(0).max(0);
        let behind = all().max().unwrap_or(0).max(0) as usize;
        let columns = width.input.div_ceil(width.stride).max(width.output).next_multiple_of(LONGEST);
        let reach = |(tap, shift): (usize, isize)| Reach { tap: tap as u32, start: (before + shift) as usize };
        let residues = (0..stride).map(|residue| shifts(residue).map(reach).collect()).collect();
        Self { before: before as usize, pitch: before as usize + columns + behind, residues }
    }
}

fn padding(width: &Axis) -> usize {
    width.spans.first().map_or(0, |span| width.origin(span).wrapping_neg())
}
