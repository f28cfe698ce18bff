//! Fractional pooling on slices, a plane at a time, each with its own windows.

use super::spec::FractionalDims;
use crate::adaptive_pool::plane_maxima;
use crate::parallel;
use crate::storage::Element;

/// The maxima of all windows and their places.
pub(super) fn maxima<T: Element, const D: usize>(dims: &FractionalDims<D>, x: &[T]) -> (Vec<T>, Vec<i64>) {
    let planes = &dims.planes;
    let mut y = vec![T::neg_infinity(); planes.output_len];
    let mut places = vec![0; planes.output_len];
    parallel::for_each_pair(&mut y, &mut places, planes.plane_out, dims.work(), |plane, y, places| {
        plane_maxima(&dims.grid(plane), &x[plane * planes.plane_in..][..planes.plane_in], y, places);
    });
    (y, places)
}
