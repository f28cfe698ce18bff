//! 3×3 kernels whose output is as large as their input, read in place: the vectors at the ends of a line are turned by one
//! element, and what they hold of the other end is masked away. A padded copy would take a quarter of the time.
//!
//! The order of the sums is that of the padded kernels.

use super::{batch_slices, sum_slices};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{LONGEST, Tier, load, mul_add, store_new};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Whether the kernels here compute this geometry, and its input gradient too.
pub(super) fn serves(d: &ConvDims) -> bool {
    let neighbours = d.kernel == [1, 3, 3] && d.stride[1..] == [1; 2] && d.dilation[1..] == [1; 2];
    neighbours
        && d.c_out > 0
        && d.padding == [0, 1, 1]
        && d.input == d.output
        && d.input[0] == 1
        && d.input[2] >= LONGEST
}

/// y = x ⋆ w + b. With the kernel turned round it is the input gradient, where a group has one output channel.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (plane, to) = (d.out_plane(), d.c_out_group());
    let [_, height, width] = d.output;
    let task = |at: usize, y: &mut [MaybeUninit<f32>]| {
        let (x, channel) = (&x[at / to * plane..][..plane], at % d.c_out);
        let (taps, bias) = (&w[channel * 9..][..9], b.map_or(0., |b| b[channel]));
        tier.run(Sums { extent: [height, width], lines: lines(tier, height), x, taps, bias, y });
    };
    // SAFETY: `Sums` writes all columns of all lines of its plane.
    unsafe { parallel::build_unfilled(d.n * d.c_out * plane, f32::NAN, plane, plane * 9, task) }
}

/// dw from x and dy: tasks take slices of the samples and neighbouring channels, which lie together in memory.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    /// Tasks that keep the threads of a large machine busy.
    const TASKS: usize = 64;
    let slices = batch_slices(d.n, d.c_out * 9);
    let per_task = d.groups.div_ceil(TASKS.div_ceil(slices));
    let blocks = d.groups.div_ceil(per_task);
    let parts = parallel::map(slices * blocks, |task| {
        let (slice, block) = (task / blocks, task % blocks);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let groups = block * per_task..d.groups.min((block + 1) * per_task);
        let mut dw = vec![0.; groups.len() * d.c_out_group() * 9];
        tier.run(Products { d, samples, groups, x, dy, dw: &mut dw });
        dw
    });
    sum_slices(parts, slices).concat()
}

/// Lines of the output that are summed at once: as many as the registers hold, and as few of them twice as can be.
fn lines(tier: Tier, height: usize) -> usize {
    let most: &[usize] = if tier.registers() < 32 { &[4, 1] } else { &[8, 7, 4, 1] };
    let fit = most.iter().copied().filter(|&lines| lines <= height);
    // Two more lines are read than are summed.
    fit.min_by_key(|&lines| height.div_ceil(lines) * (lines + 2)).unwrap_or(1)
}

/// One plane of the output.
struct Sums<'a> {
    extent: [usize; 2],
    lines: usize,
    x: &'a [f32],
    taps: &'a [f32],
    bias: f32,
    y: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.lines {
            8 => self.sum::<S, 8>(simd),
            7 => self.sum::<S, 7>(simd),
            4 => self.sum::<S, 4>(simd),
            _ => self.sum::<S, 1>(simd),
        }
    }
}

impl Sums<'_> {
    /// `R` lines at once. The last lines are summed with some of those before them, again; so are the last columns.
    #[inline(always)]
    fn sum<S: Simd, const R: usize>(self, simd: S) {
        let Self { extent: [height, width], x, taps, bias, y, .. } = self;
        let bias = simd.splat_f32s(bias);
        let mut weights = [bias; 9];
        for tap in 0..9 {
            weights[tap] = simd.splat_f32s(taps[tap]);
        }
        for line in (0..height).step_by(R) {
            let first = line.min(height - R);
            for column in (0..width).step_by(S::F32_LANES) {
                let column = column.min(width - S::F32_LANES);
                let mut sums = [bias; R];
                for i in 0..R + 2 {
                    // The line above the first and that below the last are padding.
                    let row = (first + i).wrapping_sub(1);
                    if row >= height {
                        continue;
                    }
                    let x = neighbours(simd, &x[row * width..][..width], column);
                    for j in 0..3 {
                        for line in 0..R {
                            if line <= i && i < line + 3 {
                                sums[line] = mul_add(simd, x[j], weights[(i - line) * 3 + j], sums[line]);
                            }
                        }
                    }
                }
                for line in 0..R {
                    store_new(simd, &mut y[(first + line) * width + column..], sums[line]);
                }
            }
        }
    }
}

/// The weight gradients of neighbouring groups, over some samples.
struct Products<'a> {
    d: &'a ConvDims,
    samples: Range<usize>,
    groups: Range<usize>,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { d, samples, groups, x, dy, dw } = self;
        let (plane, channels) = (d.out_plane(), d.c_out_group());
        let [_, height, width] = d.output;
        for sample in samples {
            for (group, dw) in groups.clone().zip(dw.chunks_exact_mut(channels * 9)) {
                let pair = sample * d.groups + group;
                let x = &x[pair * plane..][..plane];
                for (channel, dw) in dw.chunks_exact_mut(9).enumerate() {
                    let dy = &dy[(pair * channels + channel) * plane..][..plane];
                    add_products(simd, x, dy, [height, width], dw);
                }
            }
        }
    }
}

/// Adds the products of one plane: each line of `x` meets the three of `dy` that it has a part in.
#[inline(always)]
fn add_products<S: Simd>(simd: S, x: &[f32], dy: &[f32], [height, width]: [usize; 2], dw: &mut [f32]) {
    let zero = simd.splat_f32s(0.);
    let mut sums = [zero; 9];
    for first in (0..width).step_by(S::F32_LANES) {
        let column = first.min(width - S::F32_LANES);
        // The last columns lie in a vector with some of those before them, which have had their turn.
        let lanes = simd.mask_between_m32s((first - column) as u32, S::F32_LANES as u32).mask();
        let line = |i: usize| simd.select_f32s(lanes, load::<S>(&dy[i * width + column..]), zero);
        let (mut before, mut same) = (zero, line(0));
        for i in 0..height {
            let below = if i + 1 < height { line(i + 1) } else { zero };
            let mut x = neighbours(simd, &x[i * width..][..width], column);
            if first > column {
                // 0 · ∞ is NaN.
                x = [0, 1, 2].map(|j| simd.select_f32s(lanes, x[j], zero));
            }
            // A line of `dy` that is not there takes no part, not even as zeros.
            for (row, (meets, dy)) in [(i + 1 < height, below), (true, same), (i > 0, before)].into_iter().enumerate() {
                if meets {
                    for j in 0..3 {
                        sums[row * 3 + j] = mul_add(simd, x[j], dy, sums[row * 3 + j]);
                    }
                }
            }
            (before, same) = (same, below);
        }
    }
    for (dw, sum) in dw.iter_mut().zip(sums) {
        *dw += simd.reduce_sum_f32s(sum);
    }
}

/// The vectors of a line that begin one element before `column`, at it and one behind it; 0 beyond the ends.
#[inline(always)]
fn neighbours<S: Simd>(simd: S, line: &[f32], column: usize) -> [S::f32s; 3] {
    let (zero, last) = (simd.splat_f32s(0.), S::F32_LANES as u32);
    let middle = load::<S>(&line[column..]);
    let left = if column > 0 {
        load::<S>(&line[column - 1..])
    } else {
        simd.select_f32s(simd.mask_between_m32s(1, last).mask(), simd.rotate_right_f32s(middle, 1), zero)
    };
    let right = if column + S::F32_LANES < line.len() {
        load::<S>(&line[column + 1..])
    } else {
        simd.select_f32s(simd.mask_between_m32s(0, last - 1).mask(), simd.rotate_left_f32s(middle, 1), zero)
    };
    [left, middle, right]
}
