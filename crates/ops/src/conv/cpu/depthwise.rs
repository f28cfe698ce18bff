//! Depthwise convolution in float32: one input channel a group. Vectors run along the lines of a padded plane, which stays
//! in the first-level cache, and the taps are scalars.
//!
//! A kernel of 3×3 neighbours reads each line once for all the lines that it has a part in, and where the output is as large as
//! the input in place (`in_place.rs`); other kernels, strides and dilations read it once a tap. Every output is the sum over the taps in row-major order, so that all tiers with a fused
//! product give the same bits.

mod in_place;

use super::direct::{correlated_rows, strided_image};
use super::image::Image;
use super::{batch_slices, sum_slices};
use crate::conv::spec::ConvDims;
use crate::parallel;
use crate::simd::{Tier, lanes, load, load_lanes, mul_add, store};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Lines of the output that are summed at once: as many independent sums as keep the multipliers busy.
const LINES: usize = 4;

/// Taps whose weight gradients are summed at once.
const TAPS: usize = 5;

/// Work, in multiplications, of planes that share a padded copy and a call.
const SHARE: usize = 1 << 16;

/// Whether this is the faster algorithm for the forward pass and the gradient of the weight.
pub(super) fn serves(d: &ConvDims) -> bool {
    d.groups > 1 && d.c_in_group() == 1 && d.c_out > 0
}

/// Whether [`input_grad`] computes this geometry: a convolution with the kernel turned round.
pub(super) fn serves_input_grad(d: &ConvDims) -> bool {
    d.stride == [1; 3] && (0..3).all(|axis| d.padding[axis] <= (d.kernel[axis] - 1) * d.dilation[axis])
}

/// Planes of one geometry: where the lines of the output begin in a padded input, and where their terms lie from there.
struct Planes {
    image: Image,
    /// An offset a tap of each channel.
    rows: Vec<usize>,
    starts: Vec<usize>,
    width: usize,
    /// Whether the taps are 3×3 neighbours, and the lines too.
    square: bool,
}

impl Planes {
    fn new(d: &ConvDims, image: Image, output: [usize; 3], channels: usize) -> Self {
        let taps = correlated_rows(d, &image);
        let rows: Vec<usize> =
            (0..channels).flat_map(|channel| taps.iter().map(move |tap| channel * image.size() + tap)).collect();
        let [depth, height, width] = output;
        let starts = (0..depth).flat_map(|z| (0..height).map(move |y| image.step([z, y, 0]))).collect();
        let neighbours = (0..9).map(|tap| tap / 3 * image.len[2] + tap % 3);
        let square = depth == 1 && rows.iter().copied().eq(neighbours);
        Self { image, rows, starts, width, square }
    }

    /// Elements of a plane that is written.
    fn size(&self) -> usize {
        self.starts.len() * self.width
    }

    /// Elements of a plane that is read.
    fn read_size(&self) -> usize {
        self.image.extent.iter().product()
    }

    /// For each of `groups` groups of samples, `to` planes from the `from` that are read, with a weight a plane and row.
    fn run(
        &self,
        tier: Tier,
        groups: usize,
        [from, to]: [usize; 2],
        x: &[f32],
        weights: &[f32],
        b: Option<&[f32]>,
    ) -> Vec<f32> {
        let cost = (to * self.size()).saturating_mul(self.rows.len());
        let pairs = SHARE.checked_div(cost).unwrap_or(0).max(1);
        parallel::build(
            groups * to * self.size(),
            0.,
            pairs * to * self.size(),
            pairs.saturating_mul(cost),
            |task, y| {
                tier.run(Sums { planes: self, from, to, first: task * pairs, x, weights, b, y });
            },
        )
    }
}

/// y = x ⋆ w + b.
pub(super) fn forward(tier: Tier, d: &ConvDims, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    if in_place::serves(d) {
        return in_place::forward(tier, d, x, w, b);
    }
    let planes = Planes::new(d, strided_image(d), d.output, 1);
    planes.run(tier, d.n * d.groups, [1, d.c_out_group()], x, w, b)
}

/// dx from dy and w, + b.
pub(super) fn input_grad(tier: Tier, d: &ConvDims, dy: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let turned: Vec<f32> = w.chunks_exact(d.taps()).flat_map(|w| w.iter().rev().copied()).collect();
    if in_place::serves(d) && d.c_out_group() == 1 {
        return in_place::forward(tier, d, dy, &turned, b);
    }
    let reach = [0, 1, 2].map(|axis| (d.kernel[axis] - 1) * d.dilation[axis]);
    let image = Image {
        extent: d.output,
        before: [0, 1, 2].map(|axis| reach[axis] - d.padding[axis]),
        phases: [1; 3],
        len: [0, 1, 2].map(|axis| d.input[axis] + reach[axis]),
    };
    let planes = Planes::new(d, image, d.input, d.c_out_group());
    planes.run(tier, d.n * d.groups, [d.c_out_group(), 1], dy, &turned, b)
}

/// dw from x and dy.
pub(super) fn weight_grad(tier: Tier, d: &ConvDims, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let size = d.c_out * d.taps();
    if size == 0 {
        return Vec::new();
    }
    if in_place::serves(d) {
        return in_place::weight_grad(tier, d, x, dy);
    }
    let planes = Planes::new(d, strided_image(d), d.output, 1);
    let slices = batch_slices(d.n, size);
    let parts = parallel::map(slices * d.groups, |task| {
        let (slice, group) = (task / d.groups, task % d.groups);
        let samples = slice * d.n / slices..(slice + 1) * d.n / slices;
        let mut dw = vec![0.; d.c_out_group() * d.taps()];
        tier.run(Products { planes: &planes, groups: d.groups, group, samples, x, dy, dw: &mut dw });
        dw
    });
    sum_slices(parts, slices).concat()
}

/// `y[line, i] = b + Σₖ padded[starts[line] + rows[k] + i] · weights[k]` for consecutive planes.
struct Sums<'a> {
    planes: &'a Planes,
    /// Planes read and written for a sample and group.
    from: usize,
    to: usize,
    /// The first sample and group.
    first: usize,
    x: &'a [f32],
    weights: &'a [f32],
    b: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { planes, from, to, first, x, weights, b, y } = self;
        let mut padded = vec![0.; planes.image.padded_len(from)];
        let (size, read, terms) = (planes.size(), from * planes.read_size(), planes.rows.len());
        let channels = weights.len() / terms;
        for i in 0..y.len() / size {
            let pair = first + i / to;
            if i % to == 0 {
                pad(simd, &planes.image, &x[pair * read..][..read], &mut padded);
            }
            let channel = (pair * to + i % to) % channels;
            let bias = simd.splat_f32s(b.map_or(0., |b| b[channel]));
            sum_plane(simd, planes, &padded, &weights[channel * terms..][..terms], bias, &mut y[i * size..]);
        }
    }
}

/// The sums of one plane, the first of `y`. A vector may run on over the end of its line: what it writes there is written
/// again.
#[inline(always)]
fn sum_plane<S: Simd>(simd: S, planes: &Planes, padded: &[f32], weights: &[f32], bias: S::f32s, y: &mut [f32]) {
    let Planes { image, rows, starts, width, square } = planes;
    let Some(last) = starts.len().checked_sub(LINES) else {
        for (line, &start) in starts.iter().enumerate() {
            line_sums(simd, [&padded[start..]], rows, weights, bias, &mut y[line * width..], *width);
        }
        return;
    };
    for line in (0..starts.len()).step_by(LINES) {
        // The last lines are summed with some of those before them, again; so are the last columns.
        let first = line.min(last);
        let y = &mut y[first * width..];
        if *square {
            square_sums(simd, &padded[starts[first]..], image.len[2], weights, bias, y, *width);
        } else {
            let lines: [&[f32]; LINES] = std::array::from_fn(|line| &padded[starts[first + line]..]);
            line_sums(simd, lines, rows, weights, bias, y, *width);
        }
    }
}

/// The sums of `R` lines, tap by tap.
#[inline(always)]
fn line_sums<S: Simd, const R: usize>(
    simd: S,
    lines: [&[f32]; R],
    rows: &[usize],
    weights: &[f32],
    bias: S::f32s,
    y: &mut [f32],
    width: usize,
) {
    for column in (0..width).step_by(S::F32_LANES) {
        let column = column.min(width.saturating_sub(S::F32_LANES));
        let mut sums = [bias; R];
        for (row, &weight) in rows.iter().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, line) in sums.iter_mut().zip(lines) {
                *sum = mul_add(simd, load::<S>(&line[row + column..]), weight, *sum);
            }
        }
        for (line, sum) in sums.into_iter().enumerate() {
            store(simd, &mut y[line * width + column..], sum);
        }
    }
}

/// The sums of `LINES` lines, `pitch` apart, with a kernel of 3×3 neighbours.
#[inline(always)]
fn square_sums<S: Simd>(simd: S, x: &[f32], pitch: usize, weights: &[f32], bias: S::f32s, y: &mut [f32], width: usize) {
    let mut taps = [bias; 9];
    for (tap, &weight) in taps.iter_mut().zip(weights) {
        *tap = simd.splat_f32s(weight);
    }
    for column in (0..width).step_by(S::F32_LANES) {
        let column = column.min(width.saturating_sub(S::F32_LANES));
        let mut sums = [bias; LINES];
        for i in 0..LINES + 2 {
            let x = &x[i * pitch + column..][..S::F32_LANES + 2];
            for j in 0..3 {
                let x = load::<S>(&x[j..]);
                for line in 0..LINES {
                    if line <= i && i < line + 3 {
                        sums[line] = mul_add(simd, x, taps[(i - line) * 3 + j], sums[line]);
                    }
                }
            }
        }
        for (line, sum) in sums.into_iter().enumerate() {
            store(simd, &mut y[line * width + column..], sum);
        }
    }
}

/// `dw[k] = Σ padded[starts[line] + rows[k] + i] · dy[line, i]` over some samples of one group.
struct Products<'a> {
    planes: &'a Planes,
    groups: usize,
    group: usize,
    samples: Range<usize>,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { planes, groups, group, samples, x, dy, dw } = self;
        let Planes { image, rows, starts, width, square } = planes;
        let mut padded = vec![0.; image.padded_len(1)];
        let (size, read, terms) = (planes.size(), planes.read_size(), rows.len());
        for pair in samples.map(|sample| sample * groups + group) {
            pad(simd, image, &x[pair * read..][..read], &mut padded);
            let channels = dw.len() / terms;
            for (channel, dw) in dw.chunks_exact_mut(terms).enumerate() {
                let dy = &dy[(pair * channels + channel) * size..];
                if *square {
                    square_products(simd, &padded, image.len[2], dy, [starts.len(), *width], dw);
                    continue;
                }
                for (rows, dw) in rows.chunks(TAPS).zip(dw.chunks_mut(TAPS)) {
                    match *rows {
                        [a, b, c, d, e] => line_products(simd, &padded, starts, [a, b, c, d, e], dy, *width, dw),
                        [a, b, c] => line_products(simd, &padded, starts, [a, b, c], dy, *width, dw),
                        _ => {
                            for (&row, dw) in rows.iter().zip(dw.chunks_mut(1)) {
                                line_products(simd, &padded, starts, [row], dy, *width, dw);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The sums of `K` taps.
#[inline(always)]
fn line_products<S: Simd, const K: usize>(
    simd: S,
    padded: &[f32],
    starts: &[usize],
    rows: [usize; K],
    dy: &[f32],
    width: usize,
    dw: &mut [f32],
) {
    let zero = simd.splat_f32s(0.);
    let mut sums = [zero; K];
    for column in (0..width).step_by(S::F32_LANES) {
        let lanes = lanes(simd, width - column);
        for (line, start) in starts.iter().enumerate() {
            let dy = load_lanes(simd, &dy[line * width + column..], lanes, zero);
            for (sum, row) in sums.iter_mut().zip(rows) {
                let x = load_within(simd, &padded[start + row + column..], lanes, column + S::F32_LANES <= width);
                *sum = mul_add(simd, x, dy, *sum);
            }
        }
    }
    for (dw, sum) in dw.iter_mut().zip(sums) {
        *dw += simd.reduce_sum_f32s(sum);
    }
}

/// The sums of 3×3 neighbours over one plane: each line of `x` meets the three of `dy` that it has a part in.
#[inline(always)]
fn square_products<S: Simd>(simd: S, x: &[f32], pitch: usize, dy: &[f32], [height, width]: [usize; 2], dw: &mut [f32]) {
    let zero = simd.splat_f32s(0.);
    let mut sums = [zero; 9];
    for column in (0..width).step_by(S::F32_LANES) {
        let lanes = lanes(simd, width - column);
        let whole = column + S::F32_LANES <= width;
        let (mut last, mut before) = (zero, zero);
        for i in 0..height + 2 {
            let dy = if i < height { load_lanes(simd, &dy[i * width + column..], lanes, zero) } else { zero };
            let x = &x[i * pitch + column..][..S::F32_LANES + 2];
            let mut shifted = [zero; 3];
            for j in 0..3 {
                shifted[j] = load_within(simd, &x[j..], lanes, whole);
            }
            // A line of `dy` that is not there takes no part, not even as zeros: 0 · ∞ is NaN.
            for (row, (meets, dy)) in
                [(i < height, dy), (i > 0 && i <= height, last), (i > 1, before)].into_iter().enumerate()
            {
                if meets {
                    for j in 0..3 {
                        sums[row * 3 + j] = mul_add(simd, shifted[j], dy, sums[row * 3 + j]);
                    }
                }
            }
            (last, before) = (dy, last);
        }
    }
    for (dw, sum) in dw.iter_mut().zip(sums) {
        *dw += simd.reduce_sum_f32s(sum);
    }
}

/// Copies `x` into a padded image, line after line: a line's last vector runs on over its end, with zeros.
#[inline(always)]
fn pad<S: Simd>(simd: S, image: &Image, x: &[f32], padded: &mut [f32]) {
    let [depth, height, width] = image.extent;
    let at = image.before;
    if x.is_empty() || image.phases != [1; 3] || (0..3).any(|axis| at[axis] + image.extent[axis] > image.len[axis]) {
        image.copy_with(simd, x, padded);
        return;
    }
    let (lanes, zero) = (lanes(simd, (width - 1) % S::F32_LANES + 1), simd.splat_f32s(0.));
    for i in 0..x.len() / (depth * height * width) {
        for z in 0..depth {
            for y in 0..height {
                let x = &x[((i * depth + z) * height + y) * width..];
                let padded = &mut padded[i * image.size() + image.step([z + at[0], y + at[1], at[2]])..];
                let mut column = 0;
                while column + S::F32_LANES < width {
                    store(simd, &mut padded[column..], load::<S>(&x[column..]));
                    column += S::F32_LANES;
                }
                store(simd, &mut padded[column..], load_lanes(simd, &x[column..], lanes, zero));
            }
        }
    }
}

/// The first whole vector of `values`; unless it is `whole`, with zeros in other lanes than `lanes`.
#[inline(always)]
fn load_within<S: Simd>(simd: S, values: &[f32], lanes: S::m32s, whole: bool) -> S::f32s {
    let vector = load::<S>(values);
    if whole { vector } else { simd.select_f32s(lanes, vector, simd.splat_f32s(0.)) }
}
