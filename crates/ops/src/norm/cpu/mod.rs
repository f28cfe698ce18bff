//! The normalisation and its gradients on slices.
//!
//! Sets that lie apart, a channel's of all samples, take two passes along memory (`channels.rs`, and `columns.rs` where the runs
//! of a channel are short). All of a set that lies together is done by one task: its statistics and what they make of it,
//! while its elements are still in the cache. Where such sets are few and large, their passes are cut into tasks themselves.

mod channels;
mod columns;
mod maps;
mod sums;

use super::spec::{NormDims, Part, Sets, Statistics};
use crate::parallel::{build, build_map, for_each_item, map};
use crate::simd::Tier;
use crate::storage::Element;
use maps::{DifferentiateAll, NormaliseAll, Tangent};
use sums::Moments;

/// Work an element, in simple operations.
const COST: usize = 4;
/// Positions below which the runs of a channel are too short to be worth their start: they are brought together first.
const SHORT: usize = 16;
/// Elements of a set from which on the terms of its gradient do not all cancel.
const MANY: usize = 1 << 7;
/// Samples a partial sum of the gradients of a weight and bias an element.
const SUM_ROWS: usize = 64;

/// The mean and the variance of a set, and what its elements are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) mean: f64,
    /// Divided by the number of elements.
    pub(super) var: f64,
    pub(super) scale: f64,
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

    /// A mean, a factor and a term: `y = (x − mean) · factor + term`.
    fn normalising<T: Element>(&self, weight: Option<T>, bias: Option<T>) -> [T; 3] {
        let (mean, rest) = self.split_mean::<T>();
        let scale = weight.map_or(1., |weight| weight.to_f64()) * self.scale;
        [mean, T::from_f64(scale), T::from_f64(bias.map_or(0., |bias| bias.to_f64()) - rest * scale)]
    }

    /// What makes dx of dy times `weight`, from the sums of dy and of dy · (x − mean).
    fn differentiating<T: Element>(&self, dims: &NormDims, sums: [f64; 2], weight: Option<T>) -> Tangent {
        let weight = weight.map_or(1., |weight| weight.to_f64());
        let common = weight / dims.set_len() as f64;
        let shift = match dims.statistics {
            Statistics::Centred => -self.scale * sums[0] * common,
            _ => 0.,
        };
        let slope = -self.scale.powi(3) * sums[1] * common;
        Tangent { scale: self.scale * weight, mean: self.mean, unit: self.scale, slope, shift }
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
    if let Some(x) = T::as_f32(x).filter(|_| columns::serve(dims)) {
        let [weight, bias] = [weight, bias].map(|affine| affine.and_then(T::as_f32));
        let (y, sets) = columns::forward(dims, x, weight, bias, fixed);
        return (T::from_f32(y), sets);
    }
    if has_short_runs(dims) {
        let (y, sets) = forward(&dims.channel_major(), &channel_major(dims, x), weight, bias, fixed);
        return (sample_major(dims, &y), sets);
    }
    if dims.sets == Sets::Channels {
        return if x.is_empty() { (vec![], vec![]) } else { channels::forward(dims, x, weight, bias, fixed) };
    }
    build_sets(dims, x.len(), |index, y| {
        let set = fixed.map_or_else(|| statistics(dims, x, index), |fixed| fixed[index]);
        let [weight, bias] = [weight, bias].map(|affine| of_piece(dims, index, affine));
        for_each_part(dims, index, y, |part, y| {
            let [weight, bias] = [weight, bias].map(|affine| affine.map(|affine| &affine[part.channel..]));
            let (positions, x) = (dims.positions.min(y.len()), &x[part.start..][..y.len()]);
            Tier::best().run(NormaliseAll { positions, set, x, weight, bias, y });
        });
        set
    })
}

/// The gradient of the input and, where the sets are channels, each channel's `Σ dy` and `Σ dy · (x − mean)`.
pub(super) fn input_grad<T: Element>(
    dims: &NormDims,
    sets: &[Set],
    x: &[T],
    weight: Option<&[T]>,
    dy: &[T],
) -> (Vec<T>, Vec<[f64; 2]>) {
    if let (Some(x), Some(dy), true) = (T::as_f32(x), T::as_f32(dy), columns::serve(dims)) {
        let (dx, sums) = columns::input_grad(dims, sets, x, weight.and_then(T::as_f32), dy);
        return (T::from_f32(dx), sums);
    }
    if has_short_runs(dims) {
        let [x, dy] = [x, dy].map(|v| channel_major(dims, v));
        let (dx, sums) = input_grad(&dims.channel_major(), sets, &x, weight, &dy);
        return (sample_major(dims, &dx), sums);
    }
    if dims.sets == Sets::Channels {
        return if x.is_empty() { (vec![], vec![]) } else { channels::input_grad(dims, sets, x, weight, dy) };
    }
    build_sets(dims, x.len(), |index, dx| {
        let (set, weight) = (&sets[index], of_piece(dims, index, weight));
        let sums = match dims.statistics {
            Statistics::Fixed => [0.; 2],
            _ => fold_parts(dims, index, [0.; 2], add, |part| {
                let [x, dy] = [x, dy].map(|v| &v[part.start..][..part.len]);
                weighted_products(dims, set, x, weight.map(|weight| &weight[part.channel..]), dy)
            }),
        };
        let (of, cancels) = (set.differentiating::<T>(dims, sums, None), dims.set_len() < MANY);
        for_each_part(dims, index, dx, |part, dx| {
            let [x, dy] = [x, dy].map(|v| &v[part.start..][..part.len]);
            // Where the statistics are constants, x takes no part, whatever it is.
            let x = (dims.statistics != Statistics::Fixed).then_some(x);
            let weight = weight.map(|weight| &weight[part.channel..]);
            let positions = dims.positions.min(part.len);
            Tier::best().run(DifferentiateAll { positions, of, cancels, x, weight, dy, dx });
        });
        sums
    })
}

/// `Σ dy` and `Σ dy · (x − mean) · scale` of every channel.
pub(super) fn affine_grads<T: Element>(dims: &NormDims, sets: &[Set], x: &[T], dy: &[T]) -> Vec<[f64; 2]> {
    let (channels, positions) = (dims.channels, dims.positions);
    if x.is_empty() {
        return vec![[0.; 2]; channels];
    }
    if let (Some(x), Some(dy), true) = (T::as_f32(x), T::as_f32(dy), columns::serve(dims)) {
        return scaled(sets, &columns::products(dims, sets, x, dy));
    }
    if positions == 1 {
        return elements(dims, sets, x, dy);
    }
    if dims.sets == Sets::Channels {
        return scaled(sets, &channels::products(dims, sets, x, dy));
    }
    map(channels, |channel| {
        (0..dims.samples).fold([0.; 2], |sums, sample| {
            let (start, set) = ((sample * channels + channel) * positions, sets[dims.set_of(sample, channel)]);
            let [x, dy] = [x, dy].map(|v| &v[start..][..positions]);
            let [one, other] = sums::products(x, dy, set.mean, set.scale);
            add(sums, [one, other * set.scale])
        })
    })
}

/// The same from the sums of [`input_grad`], which were taken without the scale.
pub(super) fn scaled(sets: &[Set], sums: &[[f64; 2]]) -> Vec<[f64; 2]> {
    sets.iter().zip(sums).map(|(set, [one, other])| [*one, other * set.scale]).collect()
}

/// One position: the sums of slices of the samples, then of the slices, in order.
fn elements<T: Element>(dims: &NormDims, sets: &[Set], x: &[T], dy: &[T]) -> Vec<[f64; 2]> {
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
    let count = dims.set_len() as f64;
    let of = |part: Part| &x[part.start..][..part.len];
    match dims.statistics {
        Statistics::Uncentred => {
            let squares = fold_parts(dims, index, 0., |a, b| a + b, |part| sums::squares(of(part)));
            Set::new(0., squares / count, dims.eps)
        }
        _ => {
            let moments = fold_parts(dims, index, Moments::default(), Moments::and, |part| Moments::of(of(part)));
            Set::new(moments.mean, moments.squares / count, dims.eps)
        }
    }
}

/// `Σ g` and `Σ g · (x − mean)` for `g = weight · dy`.
fn weighted_products<T: Element>(dims: &NormDims, set: &Set, x: &[T], weight: Option<&[T]>, dy: &[T]) -> [f64; 2] {
    match weight {
        None => sums::products(x, dy, set.mean, set.scale),
        Some(weight) if dims.positions == 1 => sums::weighted_products(x, weight, dy, set.mean),
        Some(weight) => {
            let positions = dims.positions.min(x.len()).max(1);
            let runs = x.chunks_exact(positions).zip(dy.chunks_exact(positions)).zip(weight);
            runs.fold([0.; 2], |sums, ((x, dy), &w)| {
                add(sums, sums::products(x, dy, set.mean, set.scale).map(|sum| sum * w.to_f64()))
            })
        }
    }
}

/// An output of `len` elements, of which `f` writes every set, in parallel, and what `f` returns.
fn build_sets<T: Element, R: Send>(
    dims: &NormDims,
    len: usize,
    f: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let cost = dims.set_len().saturating_mul(COST);
    if len == 0 { (vec![], vec![]) } else { build_map(len, T::zero(), dims.set_len(), cost, f) }
}

/// The sum, by `add` and in order, of `f` over the parts of a set.
fn fold_parts<R: Send>(
    dims: &NormDims,
    set: usize,
    zero: R,
    add: impl Fn(R, R) -> R,
    f: impl Fn(Part) -> R + Sync + Send,
) -> R {
    if dims.cuts_sets() {
        let parts: Vec<Part> = dims.parts(set).collect();
        map(parts.len(), |i| f(parts[i])).into_iter().fold(zero, add)
    } else {
        dims.parts(set).map(f).fold(zero, add)
    }
}

/// Calls `f` with every part of a set and its run of the set's elements of an output.
fn for_each_part<T: Element>(
    dims: &NormDims,
    set: usize,
    elements: &mut [T],
    f: impl Fn(Part, &mut [T]) + Sync + Send,
) {
    if dims.cuts_sets() {
        let [block, cut] = dims.cuts();
        let runs = elements.chunks_mut(block).flat_map(|block| block.chunks_mut(cut));
        let mut runs: Vec<_> = dims.parts(set).zip(runs).collect();
        for_each_item(&mut runs, 1, cut * COST, |_, run| f(run[0].0, run[0].1));
    } else {
        dims.parts(set).for_each(|part| f(part, elements));
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
    build(x.len(), T::zero(), a * run, a * run, |j, out| {
        for (i, out) in out.chunks_exact_mut(run.max(1)).enumerate() {
            out.copy_from_slice(&x[(i * b + j) * run..][..run]);
        }
    })
}

fn add(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}
