//! Sets that are channels. Both passes run along memory, whatever channel comes next: sums of the parts of each plane, which are
//! then added a channel, and what is written. To take one channel after the other, from sample to sample, would cost three
//! times as much: each short run starts the processor's prefetching anew.

use super::maps::{Differentiate, Normalise};
use super::sums::{self, Moments};
use super::{COST, MANY, Set, add};
use crate::norm::spec::{NormDims, Statistics};
use crate::parallel::{build_unfilled, map};
use crate::simd::Tier;
use crate::storage::Element;
use std::mem::MaybeUninit;

/// Elements of a plane that are summed by one task.
const PART: usize = 1 << 15;
/// Elements that are written by one call.
const RUN: usize = 1 << 12;

/// The output and the statistics of every channel.
pub(super) fn forward<T: Element>(
    dims: &NormDims,
    x: &[T],
    weight: Option<&[T]>,
    bias: Option<&[T]>,
    fixed: Option<&[Set]>,
) -> (Vec<T>, Vec<Set>) {
    let sets = fixed.map_or_else(|| statistics(dims, x), <[Set]>::to_vec);
    let of_run = |run: usize, y: &mut [MaybeUninit<T>]| {
        for_each_channel(dims, run * RUN, y, |channel, start, y| {
            let of = sets[channel].normalising(weight.map(|weight| weight[channel]), bias.map(|bias| bias[channel]));
            Tier::best().run(Normalise { of, x: &x[start..][..y.len()], y });
        });
    };
    // SAFETY: the channels' elements are all of a run, and `Normalise` writes one for each of as many of x.
    let y = unsafe { build_unfilled(x.len(), T::nan(), RUN, RUN * COST, of_run) };
    (y, sets)
}

/// The gradient of the input, and each channel's `Σ dy` and `Σ dy · (x − mean)` unless the statistics are constants.
pub(super) fn input_grad<T: Element>(
    dims: &NormDims,
    sets: &[Set],
    x: &[T],
    weight: Option<&[T]>,
    dy: &[T],
) -> (Vec<T>, Vec<[f64; 2]>) {
    let fixed = dims.statistics == Statistics::Fixed;
    let sums = if fixed { vec![[0.; 2]; dims.channels] } else { products(dims, sets, x, dy) };
    let cancels = dims.set_len() < MANY;
    let of_run = |run: usize, dx: &mut [MaybeUninit<T>]| {
        for_each_channel(dims, run * RUN, dx, |channel, start, dx| {
            let of = sets[channel].differentiating(dims, sums[channel], weight.map(|weight| weight[channel]));
            let [x, dy] = [x, dy].map(|v| &v[start..][..dx.len()]);
            // Where the statistics are constants, x takes no part, whatever it is.
            Tier::best().run(Differentiate { of, cancels, x: (!fixed).then_some(x), dy, dx });
        });
    };
    // SAFETY: the channels' elements are all of a run, and `Differentiate` writes one for each of as many of x and dy.
    let dx = unsafe { build_unfilled(x.len(), T::nan(), RUN, RUN * COST, of_run) };
    (dx, sums)
}

/// `Σ dy` and `Σ dy · (x − mean)` of every channel.
pub(super) fn products<T: Element>(dims: &NormDims, sets: &[Set], x: &[T], dy: &[T]) -> Vec<[f64; 2]> {
    by_channel(dims, add, |channel, start, len| {
        let [x, dy] = [x, dy].map(|v| &v[start..][..len]);
        sums::products(x, dy, sets[channel].mean, sets[channel].scale)
    })
}

fn statistics<T: Element>(dims: &NormDims, x: &[T]) -> Vec<Set> {
    let moments = by_channel(dims, Moments::and, |_, start, len| Moments::of(&x[start..][..len]));
    let count = dims.set_len() as f64;
    moments.iter().map(|moments| Set::new(moments.mean, moments.squares / count, dims.eps)).collect()
}

/// For every channel the sum, by `add` and in order, of what `f` gives for its parts: their channel, start and length.
fn by_channel<R: Send + Copy>(
    dims: &NormDims,
    add: impl Fn(R, R) -> R,
    f: impl Fn(usize, usize, usize) -> R + Sync + Send,
) -> Vec<R> {
    let (channels, positions) = (dims.channels, dims.positions);
    let parts = positions.div_ceil(PART);
    let found = map(dims.samples * channels * parts, |i| {
        let (plane, first) = (i / parts, i % parts * PART);
        f(plane % channels, plane * positions + first, PART.min(positions - first))
    });
    let of_channel = |channel| {
        let planes = found.chunks_exact(parts).skip(channel).step_by(channels);
        planes.flatten().copied().reduce(&add)
    };
    (0..channels).filter_map(of_channel).collect()
}

/// Calls `f` with each channel that a run of an output has elements of, where in the output these start, and with them.
fn for_each_channel<T>(dims: &NormDims, start: usize, mut run: &mut [T], f: impl Fn(usize, usize, &mut [T])) {
    let (mut plane, mut start) = (start / dims.positions, start);
    while !run.is_empty() {
        let end = (plane + 1) * dims.positions;
        let (elements, rest) = run.split_at_mut(run.len().min(end - start));
        f(plane % dims.channels, start, elements);
        (plane, start, run) = (plane + 1, end, rest);
    }
}
