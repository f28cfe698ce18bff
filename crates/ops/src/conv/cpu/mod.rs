//! Convolution on the CPU: which algorithm computes which shape, and how the work is cut.
//!
//! | algorithm | what it multiplies | where |
//! |---|---|---|
//! | `depthwise` | vectors along the lines of a plane, padded or in place, scalars of the weight | float32, one input channel a group; its input gradient at stride 1 and padding within the kernel's reach |
//! | `winograd` | vectors of channels, at the points of tiles | float32, 3×3 kernels of stride 1 or 2 and 4×4 ones of stride 2, over one plane and many channels: [`winograd::pays`] |
//! | `direct` | vectors along output positions, scalars of the weight | float32, output and input gradient: sums of [`LONG`] terms or more, or groups |
//! | `direct` | vectors along the input channels, scalars of dy | float32, weight gradient: a vector of input channels a group |
//! | `dots` | vectors along the lines of a padded image and of dy | float32, weight gradient: groups of fewer channels |
//! | `unfold` | a matrix of unfolded positions, by a packed product | all else: float64, 1×1 kernels, short sums, padding far larger than the image |
//!
//! The choice follows from the geometry and the element type alone. Work is cut by geometry too and no two tasks add into
//! one element, so the bits do not depend on the number of threads.

mod depthwise;
mod direct;
mod dots;
#[cfg(test)]
mod golden_tests;
mod image;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tier_times;
mod unfold;
mod winograd;

use super::spec::ConvDims;
use crate::parallel;
use crate::simd::Tier;
use crate::storage::Element;

/// Tasks below which (sample, group) pairs alone would leave cores idle, so that channels are split too.
const FEW: usize = 8;

/// Terms of a sum from which on reading the image in place is faster than unfolding it for a packed product.
const LONG: usize = 24;

/// y = x ⋆ w + b.
pub(super) fn forward<T: Element>(d: &ConvDims, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    match (T::as_f32(x), T::as_f32(w)) {
        (Some(x), Some(w)) if copies_little(d) && depthwise::serves(d) => {
            T::from_f32(depthwise::forward(Tier::best(), d, x, w, b.and_then(T::as_f32)))
        }
        (Some(x), Some(w)) if winograd::pays(d) => {
            T::from_f32(winograd::forward(Tier::best(), d, x, w, b.and_then(T::as_f32)))
        }
        (Some(x), Some(w)) if is_direct(d, d.c_in_group()) => {
            T::from_f32(direct::forward(Tier::best(), d, x, w, b.and_then(T::as_f32)))
        }
        _ => unfold::forward(d, x, w, b),
    }
}

/// dx from dy and w, + b.
pub(super) fn input_grad<T: Element>(d: &ConvDims, dy: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    match (T::as_f32(dy), T::as_f32(w)) {
        (Some(dy), Some(w)) if copies_little(d) && depthwise::serves(d) && depthwise::serves_input_grad(d) => {
            T::from_f32(depthwise::input_grad(Tier::best(), d, dy, w, b.and_then(T::as_f32)))
        }
        (Some(dy), Some(w)) if winograd::pays(d) => {
            T::from_f32(winograd::input_grad(Tier::best(), d, dy, w, b.and_then(T::as_f32)))
        }
        (Some(dy), Some(w)) if is_direct(d, d.c_out_group()) => {
            T::from_f32(direct::input_grad(Tier::best(), d, dy, w, b.and_then(T::as_f32)))
        }
        _ => unfold::input_grad(d, dy, w, b),
    }
}

/// dw from x and dy. The batch is cut into slices by geometry alone; their sums are added in a fixed tree.
pub(super) fn weight_grad<T: Element>(d: &ConvDims, x: &[T], dy: &[T]) -> Vec<T> {
    match (T::as_f32(x), T::as_f32(dy)) {
        (Some(x), Some(dy)) if copies_little(d) && depthwise::serves(d) => {
            T::from_f32(depthwise::weight_grad(Tier::best(), d, x, dy))
        }
        (Some(x), Some(dy)) if winograd::pays(d) => T::from_f32(winograd::weight_grad(Tier::best(), d, x, dy)),
        (Some(x), Some(dy)) if copies_little(d) && direct::fills_vectors(d) && !is_pointwise(d) => {
            T::from_f32(direct::weight_grad(Tier::best(), d, x, dy))
        }
        (Some(x), Some(dy)) if copies_little(d) && !direct::fills_vectors(d) => {
            T::from_f32(dots::weight_grad(Tier::best(), d, x, dy))
        }
        _ => unfold::weight_grad(d, x, dy),
    }
}

/// Whether `direct` is the faster algorithm for sums over `channels` channels: short sums do not pay for an image, nor does an
/// input that is its own unfolding, but small groups leave a packed product nothing to pack.
fn is_direct(d: &ConvDims, channels: usize) -> bool {
    copies_little(d) && !is_pointwise(d) && (d.groups > 1 || channels * d.taps() >= LONG)
}

/// Whether a padded copy of an image, a phase of the stride after the other, is not far larger than input and output: a
/// stride or a dilation beyond the input may ask for more than any memory holds, of which the windows meet a few elements.
fn copies_little(d: &ConvDims) -> bool {
    let extent = |axis: usize| {
        let reach = (d.kernel[axis] - 1) * d.dilation[axis];
        d.stride[axis].saturating_mul(d.output[axis].saturating_add(reach / d.stride[axis]))
    };
    let copied = (0..3).map(extent).fold(1, usize::saturating_mul);
    copied <= (d.in_plane() + d.out_plane()).saturating_mul(4)
}

/// A 1×1 kernel that reads every element in place: the input is its own unfolding.
fn is_pointwise(d: &ConvDims) -> bool {
    d.taps() == 1 && d.input == d.output && d.padding == [0; 3] && d.stride == [1; 3]
}

/// db[o] = Σ dy[n, o, position], each plane summed first, then the samples in order.
pub(super) fn bias_grad<T: Element>(n: usize, channels: usize, plane: usize, dy: &[T]) -> Vec<T> {
    let mut db = vec![T::zero(); channels];
    parallel::for_each_item(&mut db, 1, n * plane, |channel, db| {
        db[0] = (0..n).map(|n| sum(&dy[(n * channels + channel) * plane..][..plane])).sum();
    });
    db
}

/// The sum over 16 interleaved lanes, which vector registers hold, and then over the lanes.
fn sum<T: Element>(values: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += *value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += *value;
    }
    lanes.into_iter().sum()
}

/// How many of a group's `channels` one task takes: all, unless there are few samples and groups.
fn channel_block(d: &ConvDims, channels: usize) -> usize {
    let pairs = d.n * d.groups;
    if pairs >= FEW || channels < 2 {
        return channels;
    }
    // Each task copies its input again, so a task has at least 16 channels to spread that over.
    largest_divisor(channels, channels.div_ceil(FEW / pairs.max(1)).max(16))
}

/// The largest divisor of `n` that is at most `limit`, for positive numbers.
fn largest_divisor(n: usize, limit: usize) -> usize {
    (1..=limit.min(n)).rev().find(|&divisor| n.is_multiple_of(divisor)).unwrap_or(1)
}

/// Slices of the batch that have their own partial weight gradient: as many as 4 MiB of float32 hold, 16 at most.
fn batch_slices(n: usize, size: usize) -> usize {
    ((1 << 20) / size).clamp(1, 16).min(n.max(1))
}

/// The weight gradient from its parts, one for each slice of the batch, group and block of `channels` input channels, in
/// this order: `[c_out / groups, channels, taps…]` each.
fn join_blocks<T: Element>(d: &ConvDims, parts: Vec<Vec<T>>, slices: usize, channels: usize) -> Vec<T> {
    let (taps, c_in, c_out) = (d.taps(), d.c_in_group(), d.c_out_group());
    let (blocks, rows) = (c_in / channels, channels * taps);
    let parts = sum_slices(parts, slices);
    let mut dw = vec![T::zero(); d.c_out * c_in * taps];
    for (part, dw) in parts.chunks_exact(blocks).zip(dw.chunks_exact_mut(c_out * c_in * taps)) {
        for (out, dw) in dw.chunks_exact_mut(c_in * taps).enumerate() {
            for (part, dw) in part.iter().zip(dw.chunks_exact_mut(rows)) {
                dw.copy_from_slice(&part[out * rows..][..rows]);
            }
        }
    }
    dw
}

/// Adds the parts of slice 1 to slice 0, 3 to 2, …, then 2 to 0, …: a tree that depends on the number of slices alone.
fn sum_slices<T: Element>(mut parts: Vec<Vec<T>>, slices: usize) -> Vec<Vec<T>> {
    let per_slice = parts.len() / slices;
    let mut distance = 1;
    while distance < slices {
        for slice in (0..slices - distance).step_by(2 * distance) {
            let (left, right) = parts.split_at_mut((slice + distance) * per_slice);
            for (into, from) in left[slice * per_slice..].iter_mut().zip(&*right).take(per_slice) {
                into.iter_mut().zip(from).for_each(|(into, from)| *into += *from);
            }
        }
        distance *= 2;
    }
    parts.truncate(per_slice);
    parts
}
