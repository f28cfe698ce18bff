//! Fractional pooling on slices, a plane at a time, each with its own windows.

use super::spec::FractionalDims;
use crate::adaptive_pool::plane_maxima;
use crate::parallel;
use crate::storage::Element;

/// The maxima of all windows and their places.
pub(super) fn maxima<T: Element, const D: usize>(dims: &FractionalDims<D>, x: &[T]) -> (Vec<T>, Vec<i64>) {
    let planes = &dims.planes;
    parallel::build_pair(planes.output_len, (T::zero(), 0), planes.plane_out, dims.work(), |plane, y, places| {
        plane_maxima(&dims.grid(plane), &x[plane * planes.plane_in..][..planes.plane_in], y, places);
    })
}
