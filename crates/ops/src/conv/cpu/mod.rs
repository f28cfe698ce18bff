//! Convolution on the CPU as matrix products over unfolded tiles of the input.
//!
//! A tile of the unfolded input is a matrix with a row for each (channel, tap) and a column for each of a block of output
//! positions, small enough to stay in cache. Work is cut by geometry alone and no two tasks add into one element, so the
//! bits do not depend on the number of threads.

mod unfold;

use super::spec::ConvDims;
use crate::matmul::{Matrix, matmul};
use crate::parallel;
use crate::storage::Element;
use std::ops::Range;
use unfold::{fold, unfold};

/// Elements of an unfolded tile: 128 KiB of float32, a share of the second-level cache.
const TILE: usize = 1 << 15;

/// Tasks below which (sample, group) pairs alone would leave cores idle, so that channels are split too.
const FEW: usize = 8;

/// y = w · unfold(x) + b.
pub(super) fn forward<T: Element>(d: &ConvDims, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let rows = c_in * taps;
    let channels = channel_block(d, c_out);
    let blocks = c_out.checked_div(channels).unwrap_or(0);
    let mut y = vec![T::zero(); d.n * d.c_out * plane];
    parallel::for_each_item(&mut y, channels * plane, (channels * plane).saturating_mul(rows), |task, y| {
        let (n, first) = (task / (d.groups * blocks), task % (d.groups * blocks) * channels);
        let x = &x[(n * d.c_in + first / c_out * c_in) * d.in_plane()..][..c_in * d.in_plane()];
        let w = Matrix::new(&w[first * rows..][..channels * rows], channels, rows, rows);
        if let Some(b) = b {
            for (y, b) in y.chunks_exact_mut(plane).zip(&b[first..]) {
                y.fill(*b);
            }
        }
        let mut tile = Vec::new();
        for positions in position_blocks(plane, rows) {
            let columns = input_tile(d, x, c_in, positions.clone(), &mut tile);
            matmul(&mut y[positions.start..], plane, b.is_some(), w, columns);
        }
    });
    y
}

/// dx = fold(wᵀ · dy) + b.
pub(super) fn input_grad<T: Element>(d: &ConvDims, dy: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let channels = channel_block(d, c_in);
    let blocks = c_in.checked_div(channels).unwrap_or(0);
    let rows = channels * taps;
    let mut dx = vec![T::zero(); d.n * d.c_in * d.in_plane()];
    parallel::for_each_item(&mut dx, channels * d.in_plane(), (rows * plane).saturating_mul(c_out), |task, dx| {
        let (n, first) = (task / (d.groups * blocks), task % (d.groups * blocks) * channels);
        if let Some(b) = b {
            for (dx, b) in dx.chunks_exact_mut(d.in_plane()).zip(&b[first..]) {
                dx.fill(*b);
            }
        }
        let (group, first) = (first / c_in, first % c_in);
        let dy = &dy[(n * d.c_out + group * c_out) * plane..][..c_out * plane];
        let w = &w[(group * c_out * c_in + first) * taps..];
        let w = Matrix::new(w, c_out, rows, c_in * taps).t();
        if is_pointwise(d) {
            return matmul(dx, plane, b.is_some(), w, Matrix::new(dy, c_out, plane, plane));
        }
        let mut tile = Vec::new();
        for positions in position_blocks(plane, rows) {
            let width = positions.len();
            tile.resize(rows * width, T::zero());
            matmul(&mut tile, width, false, w, Matrix::new(&dy[positions.start..], c_out, width, plane));
            fold(d, &tile, channels, positions, dx);
        }
    });
    dx
}

/// dw = Σₙ dy · unfold(x)ᵀ. The batch is cut into slices by geometry alone; their sums are added in a fixed tree.
pub(super) fn weight_grad<T: Element>(d: &ConvDims, x: &[T], dy: &[T]) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let size = d.c_out * c_in * taps;
    if size == 0 {
        return Vec::new();
    }
    let slices = batch_slices(d.n, size);
    let channels = if slices * d.groups >= FEW { c_in } else { largest_divisor(c_in, c_in.div_ceil(FEW)) };
    let (blocks, rows) = (c_in / channels, channels * taps);
    let tasks = parallel::map(slices * d.groups * blocks, |task| {
        let (slice, group, first) = (task / (d.groups * blocks), task / blocks % d.groups, task % blocks * channels);
        let mut dw = vec![T::zero(); c_out * rows];
        let mut tile = Vec::new();
        for n in slice * d.n / slices..(slice + 1) * d.n / slices {
            let x = &x[(n * d.c_in + group * c_in + first) * d.in_plane()..][..channels * d.in_plane()];
            let dy = &dy[(n * d.c_out + group * c_out) * plane..][..c_out * plane];
            for positions in position_blocks(plane, rows) {
                let dy = Matrix::new(&dy[positions.start..], c_out, positions.len(), plane);
                let columns = input_tile(d, x, channels, positions, &mut tile);
                matmul(&mut dw, rows, true, dy, columns.t());
            }
        }
        dw
    });
    let parts = sum_slices(tasks, slices);
    let mut dw = vec![T::zero(); size];
    for (part, dw) in parts.chunks_exact(blocks).zip(dw.chunks_exact_mut(c_out * c_in * taps)) {
        for (out, dw) in dw.chunks_exact_mut(c_in * taps).enumerate() {
            for (part, dw) in part.iter().zip(dw.chunks_exact_mut(rows)) {
                dw.copy_from_slice(&part[out * rows..][..rows]);
            }
        }
    }
    dw
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

/// A 1×1 kernel that reads every element in place: the input is its own unfolding.
fn is_pointwise(d: &ConvDims) -> bool {
    d.taps() == 1 && d.input == d.output && d.padding == [0; 3] && d.stride == [1; 3]
}

/// The unfolded columns of `positions`, in `tile` unless the input holds them as they are.
fn input_tile<'a, T: Element>(
    d: &ConvDims,
    x: &'a [T],
    channels: usize,
    positions: Range<usize>,
    tile: &'a mut Vec<T>,
) -> Matrix<'a, T> {
    let width = positions.len();
    if is_pointwise(d) {
        return Matrix::new(&x[positions.start..], channels, width, d.in_plane());
    }
    let rows = channels * d.taps();
    tile.resize(rows * width, T::zero());
    unfold(d, x, channels, positions, tile);
    Matrix::new(tile, rows, width, width)
}

/// Output positions in blocks whose tile of `rows` rows stays in cache, but wide enough for the matrix product. Without
/// rows there is nothing to multiply.
fn position_blocks(plane: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let plane = if rows == 0 { 0 } else { plane };
    let width = (TILE / rows.max(1)).next_multiple_of(16).clamp(64, plane.max(64));
    (0..plane.div_ceil(width)).map(move |block| block * width..((block + 1) * width).min(plane))
}

/// How many of a group's `channels` one task takes: all, unless there are few samples and groups.
fn channel_block(d: &ConvDims, channels: usize) -> usize {
    let pairs = d.n * d.groups;
    if pairs >= FEW || channels < 2 {
        return channels;
    }
    // Each task unfolds its input again, so a task has at least 16 channels to spread that over.
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
