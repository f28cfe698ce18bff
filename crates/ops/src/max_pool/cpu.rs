//! Maximum pooling on slices, a plane at a time.
//!
//! A maximum's place is kept as the number of its tap within the window, one byte, wherever a window has few enough of
//! them: eight times less to write and to read than an index into the plane, and known before the window's place is.

mod indices;
mod scalar;
mod taps;
mod vectors;
mod vectors_grad;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

use crate::simd::Tier;
use crate::storage::Element;
use crate::window::PoolDims;
pub(super) use indices::{gather_at, scatter_at};
pub(super) use taps::{gather, indices};

/// Whether a byte numbers every tap of a window, with a number to spare.
pub(crate) fn has_byte_taps(dims: &PoolDims) -> bool {
    dims.taps() < usize::from(u8::MAX)
}

/// The maxima of all windows.
pub(crate) fn forward<T: Element>(dims: &PoolDims, x: &[T]) -> Vec<T> {
    match T::as_f32(x) {
        Some(x) if vectors::serves(dims) => T::from_f32(vectors::forward(Tier::best(), dims, x)),
        _ => scalar::forward::<T, u8>(dims, x).0,
    }
}

/// The maxima of all windows and the number of the tap that holds each, for windows that have [byte taps](has_byte_taps).
pub(crate) fn forward_with_taps<T: Element>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<u8>) {
    match T::as_f32(x) {
        Some(x) if vectors::serves(dims) => {
            let (y, taps) = vectors::forward_with_taps(Tier::best(), dims, x);
            (T::from_f32(y), taps)
        }
        _ => scalar::forward(dims, x),
    }
}

/// The maxima of all windows and their indices within their planes.
pub(super) fn forward_with_indices<T: Element>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<i64>) {
    scalar::forward(dims, x)
}

/// Adds `dy` to the elements it came from, which `taps` number.
pub(crate) fn scatter<T: Element>(dims: &PoolDims, taps: &[u8], dy: &[T]) -> Vec<T> {
    match T::as_f32(dy) {
        Some(dy) if vectors_grad::serves(dims) => T::from_f32(vectors_grad::scatter(Tier::best(), dims, taps, dy)),
        _ => taps::scatter(dims, taps, dy),
    }
}
