//! Unfolding on slices: for each channel and tap a plane of the blocks, whose rows are strided rows of the image.

use super::spec::UnfoldDims;
use crate::parallel;
use crate::storage::Element;

/// The columns of all windows of `image`.
pub(super) fn unfold<T: Element>(dims: &UnfoldDims, image: &[T]) -> Vec<T> {
    let (plane, windows, taps) = (dims.plane(), dims.windows(), dims.taps());
    parallel::build(dims.columns.iter().product(), T::zero(), windows, windows, |item, column| {
        let image = &image[item / taps * plane..][..plane];
        for (start, blocks, stride) in rows(dims, item % taps) {
            let column = &mut column[blocks];
            match stride {
                1 => column.iter_mut().zip(&image[start..]).for_each(|(column, &x)| *column = x),
                _ => column.iter_mut().zip(image[start..].iter().step_by(stride)).for_each(|(column, &x)| *column = x),
            }
        }
    })
}

/// Every element of `columns` added to the one of the image that it stands for.
pub(super) fn fold<T: Element>(dims: &UnfoldDims, columns: &[T]) -> Vec<T> {
    let (plane, windows, taps) = (dims.plane(), dims.windows(), dims.taps());
    parallel::build(dims.image.iter().product(), T::zero(), plane, windows * taps, |channel, image| {
        for tap in 0..taps {
            let column = &columns[(channel * taps + tap) * windows..][..windows];
            for (start, blocks, stride) in rows(dims, tap) {
                let column = &column[blocks];
                match stride {
                    1 => image[start..].iter_mut().zip(column).for_each(|(x, &column)| *x += column),
                    _ => image[start..].iter_mut().step_by(stride).zip(column).for_each(|(x, &column)| *x += column),
                }
            }
        }
    })
}

/// For every row of blocks in which tap `tap` falls into the image: where the first of them falls, the blocks, and how far
/// apart they fall.
fn rows(dims: &UnfoldDims, tap: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>, usize)> {
    let ([_, k_w], [_, width], [_, across]) = (dims.spec.kernel_size, dims.extents, dims.blocks);
    let [down, stride] = dims.spec.stride;
    let (heights, top) = dims.reach(0, tap / k_w);
    let (widths, left) = dims.reach(1, tap % k_w);
    let first = heights.start;
    heights.map(move |block| {
        let start = (top + (block - first) * down) * width + left;
        (start, block * across + widths.start..block * across + widths.end, stride)
    })
}
