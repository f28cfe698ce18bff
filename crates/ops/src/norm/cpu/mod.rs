//! The normalisation and its gradients on slices.
//!
//! All of a set is done by one task: its statistics and what they make of it, while its elements are still in the cache.

mod sums;

use super::spec::{NormDims, Sets, Statistics};
use crate::parallel::{for_each_item, map, map_items};
use crate::storage::Element;
use sums::Moments;

/// Work an element, in simple operations.
const COST: usize = 4;
/// Positions below which the runs of a channel are too short to be worth their start: they are brought together first.
const SHORT: usize = 16;
/// Samples a partial sum of the gradients of a weight and bias an element.
const SUM_ROWS: usize = 64;

/// The mean and the variance of a set, and what its elements are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) mean: f64,
    /// Divided by the number of elements.
    pub(super) var: f64,
    scale: f64,
}

impl Set {
    /// Without any variance there is nothing to scale.
    pub(super) fn new(mean: f64, var: f64, eps: f64) -> Self {
        let var_eps = var + eps;
        Self { mean, var, scale: if var_eps == 0. { 0. } else { 1. / var_eps.sqrt() } }
    }

    /// The mean as an element, and what it lacks: beside a large mean, rounding would swallow the deviations.
    fn split_mean<T: Element>(&self) -> (T, f64) {
        let mean = T::from_f64(self.mean);
        (mean, self.mean - mean.to_f64())
    }
}

/// The output and the statistics of every set, which are `fixed` where the dims say so.
pub(super) fn forward<T: Element>(
    dims: &NormDims,
    x: &[T],
    weight: Option<&[T]>,
    bias: Option<&[T]>,
    fixed: Option<&[Set]>,
) -> (Vec<T>, Vec<Set>) {
    if has_short_runs(dims) {
        let (y, sets) = forward(&dims.channel_major(), &channel_major(dims, x), weight, bias, fixed);
        return (sample_major(dims, &y), sets);
    }
    let mut y = vec![T::zero(); x.len()];
    let sets = for_each_set(dims, &mut y, |index, y| {
        let set = fixed.map_or_else(|| statistics(dims, x, index), |fixed| fixed[index]);
        let [weight, bias] = [weight, bias].map(|affine| of_piece(dims, index, affine));
        for (start, y) in dims.pieces(index).zip(y) {
            normalise(dims.positions, &set, &x[start..][..y.len()], weight, bias, y);
        }
        set
    });
    (y, sets)
}

/// The gradient of the input and, where the sets are channels, each channel's `Σ dy` and `Σ dy · (x − mean)`.
pub(super) fn input_grad<T: Element>(
    dims: &NormDims,
    sets: &[Set],
    x: &[T],
    weight: Option<&[T]>,
    dy: &[T],
) -> (Vec<T>, Vec<[f64; 2]>) {
    if has_short_runs(dims) {
        let [x, dy] = [x, dy].map(|v| channel_major(dims, v));
        let (dx, sums) = input_grad(&dims.channel_major(), sets, &x, weight, &dy);
        return (sample_major(dims, &dx), sums);
    }
    let mut dx = vec![T::zero(); x.len()];
    let count = dims.set_len() as f64;
    let sums = for_each_set(dims, &mut dx, |index, dx| {
        let (set, weight) = (&sets[index], of_piece(dims, index, weight));
        let pieces = || dims.pieces(index).map(|start| [x, dy].map(|v| &v[start..][..dims.piece_len()]));
        let sums = match dims.statistics {
            Statistics::Fixed => [0.; 2],
            _ => pieces().fold([0.; 2], |sums, [x, dy]| add(sums, weighted_products(dims, set.mean, x, weight, dy))),
        };
        let common = weight.filter(|_| dims.sets == Sets::Channels).map_or(1., |weight| weight[0].to_f64()) / count;
        let slope = -set.scale.powi(3) * sums[1] * common;
        let shift = match dims.statistics {
            Statistics::Centred => -set.scale * sums[0] * common,
            _ => 0.,
        };
        for ([x, dy], dx) in pieces().zip(dx) {
            // Where the statistics are constants, x takes no part, whatever it is.
            let x = (dims.statistics != Statistics::Fixed).then_some(x);
            differentiate(dims.positions, set, [slope, shift], x, weight, dy, dx);
        }
        sums
    });
    (dx, sums)
}

/// `Σ dy` and `Σ dy · (x − mean) · scale` of every channel.
pub(super) fn affine_grads<T: Element>(dims: &NormDims, sets: &[Set], x: &[T], dy: &[T]) -> Vec<[f64; 2]> {
    let (channels, positions) = (dims.channels, dims.positions);
    if x.is_empty() {
        return vec![[0.; 2]; channels];
    }
    if positions == 1 {
        return columns(dims, sets, x, dy);
    }
    map(channels, |channel| {
        (0..dims.samples).fold([0.; 2], |sums, sample| {
            let (start, set) = ((sample * channels + channel) * positions, sets[dims.set_of(sample, channel)]);
            let [one, other] = sums::products(&x[start..][..positions], &dy[start..][..positions], set.mean);
            add(sums, [one, other * set.scale])
        })
    })
}

/// The same from the sums of [`input_grad`], which were taken without the scale.
pub(super) fn scaled(sets: &[Set], sums: &[[f64; 2]]) -> Vec<[f64; 2]> {
    sets.iter().zip(sums).map(|(set, [one, other])| [*one, other * set.scale]).collect()
}

/// One position: the sums of slices of the samples, then of the slices, in order.
fn columns<T: Element>(dims: &NormDims, sets: &[Set], x: &[T], dy: &[T]) -> Vec<[f64; 2]> {
    let channels = dims.channels;
    let slices = map(dims.samples.div_ceil(SUM_ROWS), |slice| {
        let mut sums = vec![[0.; 2]; channels];
        for sample in slice * SUM_ROWS..((slice + 1) * SUM_ROWS).min(dims.samples) {
            let run = sample * channels..(sample + 1) * channels;
            let mut sums = sums.as_mut_slice();
            let (mut x, mut dy) = (&x[run.clone()], &dy[run]);
            // The channels of one set after those of another.
            let step = match dims.sets {
                Sets::Channels => 1,
                Sets::Groups(channels) => channels,
            };
            for channel in (0..channels).step_by(step.max(1)) {
                let set = sets[dims.set_of(sample, channel)];
                let (head, tail) = sums.split_at_mut(step);
                for ((sums, &x), &dy) in head.iter_mut().zip(x).zip(dy) {
                    *sums = add(*sums, [dy.to_f64(), dy.to_f64() * (x.to_f64() - set.mean) * set.scale]);
                }
                (sums, x, dy) = (tail, &x[step..], &dy[step..]);
            }
        }
        sums
    });
    let mut sums = vec![[0.; 2]; channels];
    slices.iter().for_each(|slice| sums.iter_mut().zip(slice).for_each(|(sums, &slice)| *sums = add(*sums, slice)));
    sums
}

fn statistics<T: Element>(dims: &NormDims, x: &[T], index: usize) -> Set {
    let pieces = dims.pieces(index).map(|start| &x[start..][..dims.piece_len()]);
    let count = dims.set_len() as f64;
    match dims.statistics {
        Statistics::Uncentred => Set::new(0., pieces.map(sums::squares).sum::<f64>() / count, dims.eps),
        _ => {
            let moments = pieces.map(Moments::of).fold(Moments::default(), Moments::and);
            Set::new(moments.mean, moments.squares / count, dims.eps)
        }
    }
}

/// `y = (x − mean) · scale · weight + bias`, with a weight and a bias every `positions` elements.
fn normalise<T: Element>(positions: usize, set: &Set, x: &[T], weight: Option<&[T]>, bias: Option<&[T]>, y: &mut [T]) {
    let (mean, rest) = set.split_mean::<T>();
    let (scale, shift) = (T::from_f64(set.scale), T::from_f64(-rest * set.scale));
    let unit = |x: T| (x - mean) * scale + shift;
    match (weight, bias) {
        (None, _) => y.iter_mut().zip(x).for_each(|(y, &x)| *y = unit(x)),
        (Some(weight), None) if positions == 1 => {
            y.iter_mut().zip(x).zip(weight).for_each(|((y, &x), &w)| *y = unit(x) * w);
        }
        (Some(weight), Some(bias)) if positions == 1 => {
            y.iter_mut().zip(x).zip(weight.iter().zip(bias)).for_each(|((y, &x), (&w, &b))| *y = unit(x) * w + b);
        }
        (Some(weight), bias) => {
            let runs = y.chunks_exact_mut(positions.max(1)).zip(x.chunks_exact(positions.max(1)));
            for (channel, (y, x)) in runs.enumerate() {
                let scale = weight[channel].to_f64() * set.scale;
                let bias = bias.map_or(0., |bias| bias[channel].to_f64());
                let (scale, shift) = (T::from_f64(scale), T::from_f64(bias - rest * scale));
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * scale + shift);
            }
        }
    }
}

/// `dx = scale · weight · dy + slope · (x − mean) + shift`, with a weight every `positions` elements.
fn differentiate<T: Element>(
    positions: usize,
    set: &Set,
    [slope, shift]: [f64; 2],
    x: Option<&[T]>,
    weight: Option<&[T]>,
    dy: &[T],
    dx: &mut [T],
) {
    // The terms of a small set cancel: they are added in float64 and rounded once.
    let weight = |i: usize| set.scale * weight.map_or(1., |weight| weight[i].to_f64());
    let runs = dx.chunks_exact_mut(positions.max(1)).zip(dy.chunks_exact(positions.max(1))).enumerate();
    match x {
        None => runs.for_each(|(i, (dx, dy))| {
            let scale = weight(i);
            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = T::from_f64(dy.to_f64() * scale));
        }),
        Some(x) => runs.zip(x.chunks_exact(positions.max(1))).for_each(|((i, (dx, dy)), x)| {
            let scale = weight(i);
            for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
                *dx = T::from_f64(dy.to_f64() * scale + ((x.to_f64() - set.mean) * slope + shift));
            }
        }),
    }
}

/// `Σ g` and `Σ g · (x − mean)` for `g = weight · dy`; where all have one weight, without it.
fn weighted_products<T: Element>(dims: &NormDims, mean: f64, x: &[T], weight: Option<&[T]>, dy: &[T]) -> [f64; 2] {
    match weight {
        Some(weight) if dims.sets != Sets::Channels && dims.positions == 1 => {
            sums::weighted_products(x, weight, dy, mean)
        }
        Some(weight) if dims.sets != Sets::Channels => {
            let runs = x.chunks_exact(dims.positions.max(1)).zip(dy.chunks_exact(dims.positions.max(1))).zip(weight);
            runs.fold([0.; 2], |sums, ((x, dy), &w)| add(sums, sums::products(x, dy, mean).map(|sum| sum * w.to_f64())))
        }
        _ => sums::products(x, dy, mean),
    }
}

/// Calls `f` with every set and its pieces of `out`, in parallel.
fn for_each_set<T: Element, R: Send>(
    dims: &NormDims,
    out: &mut [T],
    f: impl Fn(usize, &mut [&mut [T]]) -> R + Sync,
) -> Vec<R> {
    let cost = dims.set_len() * COST;
    match dims.sets {
        _ if out.is_empty() => vec![],
        Sets::Groups(_) => map_items(out, dims.set_len(), cost, |set, piece| f(set, &mut [piece])),
        Sets::Channels => {
            let mut sets: Vec<Vec<&mut [T]>> = (0..dims.channels).map(|_| Vec::with_capacity(dims.samples)).collect();
            for (i, piece) in out.chunks_exact_mut(dims.positions.max(1)).enumerate() {
                sets[i % dims.channels].push(piece);
            }
            map_items(&mut sets, 1, cost, |set, pieces| f(set, &mut pieces[0]))
        }
    }
}

/// A weight or bias where a set's piece needs it.
fn of_piece<'a, T>(dims: &NormDims, set: usize, affine: Option<&'a [T]>) -> Option<&'a [T]> {
    let (first, count) = dims.piece_channels(set);
    affine.map(|affine| &affine[first..first + count])
}

fn has_short_runs(dims: &NormDims) -> bool {
    dims.sets == Sets::Channels && dims.samples > 1 && dims.positions < SHORT
}

/// From `[samples, channels, positions]` to `[channels, samples, positions]`.
fn channel_major<T: Element>(dims: &NormDims, x: &[T]) -> Vec<T> {
    exchange(dims.samples, dims.channels, dims.positions, x)
}

/// And back.
fn sample_major<T: Element>(dims: &NormDims, x: &[T]) -> Vec<T> {
    exchange(dims.channels, dims.samples, dims.positions, x)
}

/// From `[a, b, run]` to `[b, a, run]`.
fn exchange<T: Element>(a: usize, b: usize, run: usize, x: &[T]) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    for_each_item(&mut out, a * run, a * run, |j, out| {
        for (i, out) in out.chunks_exact_mut(run.max(1)).enumerate() {
            out.copy_from_slice(&x[(i * b + j) * run..][..run]);
        }
    });
    out
}

fn add(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}
