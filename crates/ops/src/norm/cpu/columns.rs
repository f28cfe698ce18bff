//! Channels of short runs in float32. Their vectors run along the columns of `[samples, channels · positions]`, whatever
//! channel they belong to: each column is summed over the samples, then the columns of a channel.
//!
//! Tasks take blocks of channels and slices of the samples for the sums, and samples for what is written. No product is fused,
//! so every tier gives the same bits.

use super::maps::unit_of;
use super::sums::{Moments, exact_products};
use super::{COST, MANY, Set, add};
use crate::norm::spec::{NormDims, Sets, Statistics};
use crate::parallel::{build_unfilled, map};
use crate::simd::Tier;
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Positions from which on a run is long enough for vectors of its own.
const LONG: usize = 1 << 10;
/// Columns of a block, unless one channel has more: their sums stay in the first-level cache.
const COLUMNS: usize = 1 << 11;
/// Samples of a partial sum.
const ROWS: usize = 1 << 6;
/// Positions below which coefficients are laid out a column.
const WIDE: usize = 1 << 6;

/// Whether this is the faster algorithm.
pub(super) fn serve(dims: &NormDims) -> bool {
    let many = dims.samples > 1 && dims.channels > 0 && dims.set_len() >= MANY;
    dims.sets == Sets::Channels && many && dims.positions < LONG
}

/// The output and the statistics of every channel.
pub(super) fn forward(
    dims: &NormDims,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    fixed: Option<&[Set]>,
) -> (Vec<f32>, Vec<Set>) {
    let sets = fixed.map_or_else(|| statistics(dims, x), <[Set]>::to_vec);
    let channels = sets
        .iter()
        .enumerate()
        .map(|(channel, set)| set.normalising(weight.map(|weight| weight[channel]), bias.map(|bias| bias[channel])));
    let coefficients = Coefficients::new(dims, channels);
    let row = dims.channels * dims.positions;
    let of_sample = |sample: usize, y: &mut [MaybeUninit<f32>]| {
        Tier::best().run(Normalise { of: &coefficients, x: &x[sample * row..][..row], y });
    };
    // SAFETY: `Normalise` writes all elements of all channels of a sample: there is a coefficient for each.
    let y = unsafe { build_unfilled(x.len(), f32::NAN, row, row * COST, of_sample) };
    (y, sets)
}

/// The gradient of the input, and each channel's `Σ dy` and `Σ dy · (x − mean)` unless the statistics are constants.
pub(super) fn input_grad(
    dims: &NormDims,
    sets: &[Set],
    x: &[f32],
    weight: Option<&[f32]>,
    dy: &[f32],
) -> (Vec<f32>, Vec<[f64; 2]>) {
    let fixed = dims.statistics == Statistics::Fixed;
    let sums = if fixed { vec![[0.; 2]; dims.channels] } else { products(dims, sets, x, dy) };
    let channels =
        sets.iter().zip(&sums).enumerate().map(|(channel, (set, &sums))| {
            set.differentiating(dims, sums, weight.map(|weight| weight[channel])).rounded()
        });
    let coefficients = Coefficients::new(dims, channels);
    let row = dims.channels * dims.positions;
    let of_sample = |sample: usize, dx: &mut [MaybeUninit<f32>]| {
        let [x, dy] = [x, dy].map(|v| &v[sample * row..][..row]);
        // Where the statistics are constants, x takes no part, whatever it is.
        Tier::best().run(Differentiate { of: &coefficients, x: (!fixed).then_some(x), dy, dx });
    };
    // SAFETY: `Differentiate` writes all elements of all channels of a sample: there is a coefficient for each.
    let dx = unsafe { build_unfilled(x.len(), f32::NAN, row, row * COST, of_sample) };
    (dx, sums)
}

/// `Σ dy` and `Σ dy · (x − mean)` of every channel.
pub(super) fn products(dims: &NormDims, sets: &[Set], x: &[f32], dy: &[f32]) -> Vec<[f64; 2]> {
    let step = dims.channels * dims.positions;
    by_channel(dims, add, |channels, start, samples| {
        let width = channels.len() * dims.positions;
        let [x, dy] = [x, dy].map(|v| &v[start..][..(samples - 1) * step + width]);
        let units = channels.clone().map(|channel| {
            let (mean, rest) = sets[channel].split_mean::<f32>();
            (mean, rest, unit_of::<f32>(sets[channel].scale))
        });
        let expand = |f: fn((f32, f64, f32)) -> f32| expanded(units.clone().map(f), dims.positions);
        let (means, scales) = (expand(|unit| unit.0), expand(|unit| unit.2));
        let mut sums = [vec![0.; width], vec![0.; width]];
        Tier::best().run(Products { x, dy, step, means: &means, scales: &scales, sums: &mut sums });
        let of_channel = |(i, (_, rest, unit)): (usize, (f32, f64, f32))| {
            let [one, other] = sums.each_ref().map(|sums| sum(&sums[i * dims.positions..][..dims.positions]));
            if one.is_finite() && other.is_finite() {
                return [one, other / f64::from(unit) - rest * one];
            }
            let runs = channel_runs(dims, x, i).zip(channel_runs(dims, dy, i));
            let mean = sets[channels.start + i].mean;
            runs.fold([0.; 2], |sums, (x, dy)| add(sums, exact_products(x, dy, mean)))
        };
        units.clone().enumerate().map(of_channel).collect()
    })
}

fn statistics(dims: &NormDims, x: &[f32]) -> Vec<Set> {
    let step = dims.channels * dims.positions;
    let moments = by_channel(dims, Moments::and, |channels, start, samples| {
        let width = channels.len() * dims.positions;
        let x = &x[start..][..(samples - 1) * step + width];
        let count = (samples * dims.positions) as f64;
        let columns = |sums: &[f32], i: usize| sum(&sums[i * dims.positions..][..dims.positions]);
        let mut sums = vec![0.; width];
        Tier::best().run(Totals { x, step, sums: &mut sums });
        // About their mean squares do not cancel.
        let pivots: Vec<f32> = (0..channels.len()).map(|i| (columns(&sums, i) / count) as f32).collect();
        let mut about = [sums, vec![0.; width]];
        about[0].fill(0.);
        let expanded = expanded(pivots.iter().copied(), dims.positions);
        Tier::best().run(Spreads { x, step, pivots: &expanded, sums: &mut about });
        let of_channel = |(i, &pivot): (usize, &f32)| {
            let [sum, squares] = about.each_ref().map(|sums| columns(sums, i));
            let found = Moments::about(f64::from(pivot), count, [sum, squares]);
            if Moments::trusts(squares, found.squares) {
                return found;
            }
            channel_runs(dims, x, i).map(Moments::exact).fold(Moments::default(), Moments::and)
        };
        pivots.iter().enumerate().map(of_channel).collect()
    });
    let count = dims.set_len() as f64;
    moments.iter().map(|moments| Set::new(moments.mean, moments.squares / count, dims.eps)).collect()
}

/// For every channel the sum, by `add` and in order, of what `f` gives for it: `f` is called with a block of channels, where
/// the first of these starts in the first of some samples, and how many samples.
fn by_channel<R: Send + Copy>(
    dims: &NormDims,
    add: impl Fn(R, R) -> R,
    f: impl Fn(Range<usize>, usize, usize) -> Vec<R> + Sync + Send,
) -> Vec<R> {
    let (channels, positions) = (dims.channels, dims.positions);
    let per_block = (COLUMNS / positions).clamp(1, channels);
    let (blocks, slices) = (channels.div_ceil(per_block), dims.samples.div_ceil(ROWS));
    let parts = map(blocks * slices, |task| {
        let (block, slice) = (task / slices, task % slices);
        let channels = block * per_block..channels.min((block + 1) * per_block);
        let start = (slice * ROWS * dims.channels + channels.start) * positions;
        f(channels, start, ROWS.min(dims.samples - slice * ROWS))
    });
    let joined = parts.chunks_exact(slices).flat_map(|slices| {
        (0..slices[0].len()).map(|i| slices[1..].iter().fold(slices[0][i], |sum, slice| add(sum, slice[i])))
    });
    joined.collect()
}

/// The runs of the `i`th channel of a block of samples that begins with another.
fn channel_runs<'a>(dims: &NormDims, block: &'a [f32], i: usize) -> impl Iterator<Item = &'a [f32]> {
    let (step, positions) = (dims.channels * dims.positions, dims.positions);
    block.chunks(step).map(move |row| &row[i * positions..][..positions])
}

/// Each value `positions` times.
fn expanded(values: impl Iterator<Item = f32>, positions: usize) -> Vec<f32> {
    values.flat_map(|value| std::iter::repeat_n(value, positions)).collect()
}

/// The sum of the sums of some columns, in float64, over a fixed tree.
fn sum(columns: &[f32]) -> f64 {
    let mut lanes = [0f64; 8];
    let (chunks, rest) = columns.as_chunks::<8>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(value);
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane += f64::from(value));
    crate::math::tree_sum(lanes)
}

/// Numbers that all elements of a channel are mapped with: a column's each, or where runs are wide a channel's.
struct Coefficients<const N: usize> {
    run: usize,
    values: [Vec<f32>; N],
}

impl<const N: usize> Coefficients<N> {
    fn new(dims: &NormDims, channels: impl Iterator<Item = [f32; N]>) -> Self {
        let (run, repeat) = if dims.positions < WIDE { (1, dims.positions) } else { (dims.positions, 1) };
        let mut values = [const { Vec::new() }; N];
        for channel in channels {
            for (values, value) in values.iter_mut().zip(channel) {
                values.extend(std::iter::repeat_n(value, repeat));
            }
        }
        Self { run, values }
    }
}

/// `y = (x − mean) · scale + shift`.
struct Normalise<'a> {
    of: &'a Coefficients<3>,
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { of: Coefficients { run, values: [mean, scale, shift] }, x, y } = self;
        let of_channel = mean.iter().zip(scale).zip(shift);
        if *run == 1 {
            for ((y, x), ((mean, scale), shift)) in y.iter_mut().zip(x).zip(of_channel) {
                y.write((x - mean) * scale + shift);
            }
            return;
        }
        for ((y, x), ((&mean, &scale), &shift)) in y.chunks_exact_mut(*run).zip(x.chunks_exact(*run)).zip(of_channel) {
            for (y, x) in y.iter_mut().zip(x) {
                y.write((x - mean) * scale + shift);
            }
        }
    }
}

/// `dx = scale · dy + slope · (x − mean) + shift`, or without x its first term.
struct Differentiate<'a> {
    of: &'a Coefficients<5>,
    x: Option<&'a [f32]>,
    dy: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { of: Coefficients { run, values: [scale, mean, unit, slope, shift] }, x, dy, dx } = self;
        let Some(x) = x else {
            for ((dx, dy), scale) in dx.chunks_exact_mut(*run).zip(dy.chunks_exact(*run)).zip(scale) {
                dx.iter_mut().zip(dy).for_each(|(dx, dy)| _ = dx.write(dy * scale));
            }
            return;
        };
        let of_channel = scale.iter().zip(mean).zip(unit.iter().zip(slope).zip(shift));
        if *run == 1 {
            for (((dx, dy), x), ((scale, mean), ((unit, slope), shift))) in dx.iter_mut().zip(dy).zip(x).zip(of_channel)
            {
                dx.write(dy * scale + ((x - mean) * unit * slope + shift));
            }
            return;
        }
        let runs = dx.chunks_exact_mut(*run).zip(dy.chunks_exact(*run)).zip(x.chunks_exact(*run));
        for (((dx, dy), x), ((&scale, &mean), ((&unit, &slope), &shift))) in runs.zip(of_channel) {
            for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
                dx.write(dy * scale + ((x - mean) * unit * slope + shift));
            }
        }
    }
}

/// Adds the columns of every row, `step` apart, to their sums.
struct Totals<'a> {
    x: &'a [f32],
    step: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Totals<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.x.chunks(self.step) {
            self.sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
    }
}

/// The same for the differences to pivots, and their squares.
struct Spreads<'a> {
    x: &'a [f32],
    step: usize,
    pivots: &'a [f32],
    sums: &'a mut [Vec<f32>; 2],
}

impl WithSimd for Spreads<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [sums, squares] = self.sums;
        for x in self.x.chunks(self.step) {
            for (((sum, square), x), pivot) in sums.iter_mut().zip(squares.iter_mut()).zip(x).zip(self.pivots) {
                let x = x - pivot;
                *sum += x;
                *square += x * x;
            }
        }
    }
}

/// The same for dy, and for dy times the normalised x.
struct Products<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    step: usize,
    means: &'a [f32],
    scales: &'a [f32],
    sums: &'a mut [Vec<f32>; 2],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [sums, products] = self.sums;
        for (x, dy) in self.x.chunks(self.step).zip(self.dy.chunks(self.step)) {
            let sums = sums.iter_mut().zip(products.iter_mut());
            for (((sum, product), (x, dy)), (mean, scale)) in
                sums.zip(x.iter().zip(dy)).zip(self.means.iter().zip(self.scales))
            {
                *sum += dy;
                *product += dy * ((x - mean) * scale);
            }
        }
    }
}
