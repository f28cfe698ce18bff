//! Convolution as matrix products over unfolded tiles of the input: the algorithm for any shape and element type.
//!
//! A tile of the unfolded input is a matrix with a row for each (channel, tap) and a column for each of a block of output
//! positions, small enough to stay in cache.

use super::{FEW, batch_slices, channel_block, is_pointwise, join_blocks, largest_divisor, sum_slices};
use crate::conv::spec::ConvDims;
use crate::matmul::{Matrix, matmul, matmul_new};
use crate::parallel::{self, fill};
use crate::storage::Element;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of an unfolded tile: 128 KiB of float32, a share of the second-level cache.
const TILE: usize = 1 << 15;

/// y = w · unfold(x) + b.
pub(super) fn forward<T: Element>(d: &ConvDims, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let rows = c_in * taps;
    let channels = channel_block(d, c_out);
    let blocks = c_out.checked_div(channels).unwrap_or(0);
    let (len, cost) = (d.n * d.c_out * plane, (channels * plane).saturating_mul(rows));
    let task = |task: usize, y: &mut [MaybeUninit<T>]| {
        let (n, first) = (task / (d.groups * blocks), task % (d.groups * blocks) * channels);
        let x = &x[(n * d.c_in + first / c_out * c_in) * d.in_plane()..][..c_in * d.in_plane()];
        let w = Matrix::new(&w[first * rows..][..channels * rows], channels, rows, rows);
        let mut tile = Vec::new();
        if b.is_none() && rows > 0 {
            for positions in position_blocks(plane, rows) {
                let columns = input_tile(d, x, c_in, positions.clone(), &mut tile);
                matmul_new(&mut y[positions.start..], plane, w, columns);
            }
            return;
        }
        let y = fill(y, T::zero());
        for (y, b) in y.chunks_exact_mut(plane).zip(b.iter().flat_map(|b| &b[first..])) {
            y.fill(*b);
        }
        for positions in position_blocks(plane, rows) {
            let columns = input_tile(d, x, c_in, positions.clone(), &mut tile);
            matmul(&mut y[positions.start..], plane, true, w, columns);
        }
    };
    // SAFETY: a task fills its run, or the products write all columns of all its rows: the blocks are all positions.
    unsafe { parallel::build_unfilled(len, T::nan(), channels * plane, cost, task) }
}

/// dx = fold(wᵀ · dy) + b.
pub(super) fn input_grad<T: Element>(d: &ConvDims, dy: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let channels = channel_block(d, c_in);
    let blocks = c_in.checked_div(channels).unwrap_or(0);
    let rows = channels * taps;
    let (len, cost) = (d.n * d.c_in * d.in_plane(), (rows * plane).saturating_mul(c_out));
    parallel::build(len, T::zero(), channels * d.in_plane(), cost, |task, dx| {
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
    })
}

/// dw = Σₙ dy · unfold(x)ᵀ. The batch is cut into slices by geometry alone; their sums are added in a fixed tree.
pub(super) fn weight_grad<T: Element>(d: &ConvDims, x: &[T], dy: &[T]) -> Vec<T> {
    let (plane, taps, c_in, c_out) = (d.out_plane(), d.taps(), d.c_in_group(), d.c_out_group());
    let size = d.c_out * c_in * taps;
    if size == 0 {
        return Vec::new();
    }
    if is_pointwise(d) {
        return pointwise_weight_grad(d, x, dy);
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
    join_blocks(d, tasks, slices, channels)
}

/// The same for an input that is its own unfolding: tasks split the output channels, so that lines of dw stay long, and the
/// batch only where those make few tasks.
fn pointwise_weight_grad<T: Element>(d: &ConvDims, x: &[T], dy: &[T]) -> Vec<T> {
    /// Terms that are added at once: the longest sum that `gemm` leaves whole on every machine.
    const SLICE: usize = 512;
    /// Output channels a task, over which it spreads the packing of x.
    const ROWS: usize = 64;
    let (plane, c_in, c_out) = (d.out_plane(), d.c_in_group(), d.c_out_group());
    let channels = largest_divisor(c_out, c_out.div_ceil(FEW).max(ROWS));
    let blocks = d.c_out / channels;
    let slices = batch_slices(d.n, d.c_out * c_in).min(FEW.div_ceil(blocks));
    let parts = parallel::map(slices * blocks, |task| {
        let (slice, first) = (task / blocks, task % blocks * channels);
        let mut dw = vec![T::zero(); channels * c_in];
        for n in slice * d.n / slices..(slice + 1) * d.n / slices {
            let x = Matrix::new(&x[(n * d.c_in + first / c_out * c_in) * plane..], c_in, plane, plane);
            let dy = Matrix::new(&dy[(n * d.c_out + first) * plane..], channels, plane, plane);
            for start in (0..plane).step_by(SLICE) {
                let terms = start..plane.min(start + SLICE);
                matmul(&mut dw, c_in, true, dy.block(0..channels, terms.clone()), x.block(0..c_in, terms).t());
            }
        }
        dw
    });
    sum_slices(parts, slices).into_iter().flatten().collect()
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

/// Where a run of one tile row meets the input: columns `columns` of the tile read from `start` on, `step` apart; every
/// other column of the row is padding.
struct Run {
    columns: Range<usize>,
    start: usize,
    step: usize,
}

/// Writes the tile of `x` (channels of one sample's group) for `positions`.
fn unfold<T: Element>(d: &ConvDims, x: &[T], channels: usize, positions: Range<usize>, tile: &mut [T]) {
    let width = positions.len();
    let mut rows = tile.chunks_exact_mut(width);
    for channel in x.chunks_exact(d.in_plane().max(1)).take(channels) {
        for (tap, row) in (0..d.taps()).zip(rows.by_ref()) {
            let mut filled = 0;
            for_each_run(d, tap, &positions, |Run { columns, start, step }| {
                row[filled..columns.start].fill(T::zero());
                filled = columns.end;
                let row = &mut row[columns];
                if step == 1 {
                    row.copy_from_slice(&channel[start..start + row.len()]);
                } else {
                    row.iter_mut().zip(channel[start..].iter().step_by(step)).for_each(|(to, from)| *to = *from);
                }
            });
            row[filled..].fill(T::zero());
        }
    }
}

/// Adds the tile into `dx`, the transpose of [`unfold`].
fn fold<T: Element>(d: &ConvDims, tile: &[T], channels: usize, positions: Range<usize>, dx: &mut [T]) {
    let width = positions.len();
    let mut rows = tile.chunks_exact(width);
    for channel in dx.chunks_exact_mut(d.in_plane().max(1)).take(channels) {
        for (tap, row) in (0..d.taps()).zip(rows.by_ref()) {
            for_each_run(d, tap, &positions, |Run { columns, start, step }| {
                let row = &row[columns];
                if step == 1 {
                    channel[start..start + row.len()].iter_mut().zip(row).for_each(|(to, from)| *to += *from);
                } else {
                    channel[start..].iter_mut().step_by(step).zip(row).for_each(|(to, from)| *to += *from);
                }
            });
        }
    }
}

/// Calls `f` for each row of the output that `positions` touches and `tap` does not send into the padding.
fn for_each_run(d: &ConvDims, tap: usize, positions: &Range<usize>, mut f: impl FnMut(Run)) {
    let [_, k_h, k_w] = d.kernel;
    let (tap_d, tap_h, tap_w) = (tap / (k_h * k_w), tap / k_w % k_h, tap % k_w);
    let [_, out_h, out_w] = d.output;
    let [_, in_h, in_w] = d.input;
    let inside = inside(d, 2, tap_w);
    for line in positions.start / out_w..positions.end.div_ceil(out_w) {
        let (Some(z), Some(y)) = (source(d, 0, line / out_h, tap_d), source(d, 1, line % out_h, tap_h)) else {
            continue;
        };
        let first = (line * out_w + inside.start).max(positions.start);
        let last = (line * out_w + inside.end).min(positions.end);
        if first >= last {
            continue;
        }
        let column = (first - line * out_w) * d.stride[2] + tap_w * d.dilation[2] - d.padding[2];
        f(Run {
            columns: first - positions.start..last - positions.start,
            start: (z * in_h + y) * in_w + column,
            step: d.stride[2],
        });
    }
}

/// The input index that output index `i` reads through `tap` on `axis`, unless that is padding.
fn source(d: &ConvDims, axis: usize, i: usize, tap: usize) -> Option<usize> {
    (i * d.stride[axis] + tap * d.dilation[axis]).checked_sub(d.padding[axis]).filter(|&at| at < d.input[axis])
}

/// The output indices that read the input, not padding, through `tap` on `axis`.
fn inside(d: &ConvDims, axis: usize, tap: usize) -> Range<usize> {
    let (stride, reach) = (d.stride[axis], tap * d.dilation[axis]);
    let first = d.padding[axis].saturating_sub(reach).div_ceil(stride);
    let end = (d.input[axis] + d.padding[axis]).saturating_sub(reach).div_ceil(stride).min(d.output[axis]);
    first.min(end)..end
}
