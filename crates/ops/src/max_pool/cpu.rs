//! Maximum pooling on slices, a plane at a time.
//!
//! A maximum's place is kept as the number of its tap within the window, one byte, wherever a window has few enough of
//! them: eight times less to write and to read than an index into the plane, and known before the window's place is.

mod indices;
mod scalar;
mod taps;

#[cfg(test)]
mod golden_tests;

use crate::parallel;
use crate::storage::Element;
use crate::window::PoolDims;
pub(super) use indices::{gather_at, scatter_at};
pub(crate) use taps::scatter;
pub(super) use taps::{gather, indices};

/// Whether a byte numbers every tap of a window, with a number to spare.
pub(crate) fn has_byte_taps(dims: &PoolDims) -> bool {
    dims.taps() < usize::from(u8::MAX)
}

/// The maxima of all windows.
pub(crate) fn forward<T: Element>(dims: &PoolDims, x: &[T]) -> Vec<T> {
    let mut y = vec![T::neg_infinity(); dims.planes.output_len];
    parallel::for_each_item(&mut y, dims.planes.plane_out, dims.work(), |plane, y| {
        scalar::plane_forward::<T, u8>(dims, &x[plane * dims.planes.plane_in..][..dims.planes.plane_in], y, None);
    });
    y
}

/// The maxima of all windows and the number of the tap that holds each, for windows that have [byte taps](has_byte_taps).
pub(crate) fn forward_with_taps<T: Element>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<u8>) {
    scalar::forward(dims, x)
}

/// The maxima of all windows and their indices within their planes.
pub(super) fn forward_with_indices<T: Element>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<i64>) {
    scalar::forward(dims, x)
}
