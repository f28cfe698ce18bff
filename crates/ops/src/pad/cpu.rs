//! Padding on slices, a row at a time: what lies between the margins is a copy.

use super::spec::{Axis, PadDims};
use crate::parallel;
use crate::storage::Element;

/// `x` with its margins; those that come from no element of it are `value`.
pub(super) fn forward<T: Element>(dims: &PadDims, value: T, x: &[T]) -> Vec<T> {
    let (planes, width) = (&dims.planes, dims.width());
    let across = width.sources.len();
    parallel::build(planes.output_len, value, across, across, |row, y| {
        let rows = planes.plane_out / across;
        if let Some(start) = dims.source_row(row % rows) {
            let x = &x[row / rows * planes.plane_in + start..][..width.input];
            y[width.before..][..width.input].copy_from_slice(x);
            for (position, source) in margins(width) {
                y[position] = x[source];
            }
        }
    })
}

/// Every element of `dy` added to the one that it comes from.
pub(super) fn transpose<T: Element>(dims: &PadDims, dy: &[T]) -> Vec<T> {
    let (planes, width) = (&dims.planes, dims.width());
    parallel::build(planes.input.iter().product(), T::zero(), planes.plane_in, planes.plane_out, |plane, dx| {
        let dy = &dy[plane * planes.plane_out..][..planes.plane_out];
        for (row, dy) in dy.chunks_exact(width.sources.len()).enumerate() {
            if let Some(start) = dims.source_row(row) {
                let dx = &mut dx[start..][..width.input];
                dx.iter_mut().zip(&dy[width.before..]).for_each(|(dx, &dy)| *dx += dy);
                for (position, source) in margins(width) {
                    dx[source] += dy[position];
                }
            }
        }
    })
}

/// The positions of the margins with what they come from.
fn margins(axis: &Axis) -> impl Iterator<Item = (usize, usize)> {
    let end = axis.before + axis.input;
    let positions = (0..axis.before).chain(end..axis.sources.len());
    positions.filter_map(|position| Some((position, axis.sources[position]?)))
}
