//! Between an image and its unfolded tile: rows are (channel, tap), columns a range of output positions.

use crate::conv::spec::ConvDims;
use crate::storage::Element;
use std::ops::Range;

/// Where a run of one tile row meets the input: columns `columns` of the tile read from `start` on, `step` apart; every
/// other column of the row is padding.
struct Run {
    columns: Range<usize>,
    start: usize,
    step: usize,
}

/// Writes the tile of `x` (channels of one sample's group) for `positions`.
pub(super) fn unfold<T: Element>(d: &ConvDims, x: &[T], channels: usize, positions: Range<usize>, tile: &mut [T]) {
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
pub(super) fn fold<T: Element>(d: &ConvDims, tile: &[T], channels: usize, positions: Range<usize>, dx: &mut [T]) {
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
