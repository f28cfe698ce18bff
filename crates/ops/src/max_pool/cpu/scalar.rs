//! Maximum pooling an element at a time, for any window and any type of element.

use crate::parallel;
use crate::storage::Element;
use crate::window::{Axis, PoolDims};

/// The place of a maximum, as it is kept.
pub(super) trait Place: Copy + Default + Send + Sync {
    /// From the number of a tap, and from the index within the plane less what the output's column adds to it: the same
    /// for a whole row, so that noting it costs no arithmetic. Modular, since both may be negative.
    fn new(tap: usize, index: usize) -> Self;

    /// With what the column adds.
    fn in_column(self, column: usize) -> Self;
}

/// The number of the tap.
impl Place for u8 {
    #[inline(always)]
    fn new(tap: usize, _: usize) -> Self {
        tap as u8
    }

    #[inline(always)]
    fn in_column(self, _: usize) -> Self {
        self
    }
}

/// The index within the plane.
impl Place for i64 {
    #[inline(always)]
    fn new(_: usize, index: usize) -> Self {
        index as i64
    }

    #[inline(always)]
    fn in_column(self, column: usize) -> Self {
        self.wrapping_add(column as i64)
    }
}

/// The maxima of all windows and their places.
pub(super) fn forward<T: Element, P: Place>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<P>) {
    let (len, before) = (dims.planes.output_len, (T::neg_infinity(), P::default()));
    parallel::build_pair(len, before, dims.planes.plane_out, dims.work(), |plane, y, places| {
        let x = &x[plane * dims.planes.plane_in..][..dims.planes.plane_in];
        rows_forward(dims, dims.width().side_by_side(), x, y, places);
    })
}

/// The maxima of one plane, −∞ before, and their places.
///
/// A row of windows takes its elements tap by tap, or block by block where `blocks` says that they lie side by side, so
/// every window sees its own in row-major order.
pub(super) fn rows_forward<T: Element, P: Place>(
    dims: &PoolDims,
    blocks: bool,
    x: &[T],
    y: &mut [T],
    places: &mut [P],
) {
    let width = dims.width();
    let blocks = blocks.then_some(width.stride);
    // Of blocks, padding may hold the taps before the first.
    let before = width.taps.first().map_or(0, |tap| tap.number);
    let mut found = vec![P::default(); width.output];
    for (i, (row, y)) in dims.rows().zip(y.chunks_exact_mut(width.output)).enumerate() {
        // Where all elements are −∞ none is larger than the start, and the first is the place.
        let (tap, first) = row.tap_rows().next().unwrap_or_default();
        for (column, (found, span)) in found.iter_mut().zip(&width.spans).enumerate() {
            *found = P::new(tap.wrapping_add(span.tap), (first + span.first).wrapping_sub(column * width.stride));
        }
        for (tap, start) in row.tap_rows() {
            match blocks {
                Some(2) => update_blocks::<T, P, 2>(&x[start..], tap.wrapping_add(before), start, y, &mut found),
                Some(3) => update_blocks::<T, P, 3>(&x[start..], tap.wrapping_add(before), start, y, &mut found),
                _ => update_row(width, &x[start..], tap, start, y, &mut found),
            }
        }
        for (column, (place, found)) in places[i * width.output..].iter_mut().zip(&found).enumerate() {
            *place = found.in_column(column * width.stride);
        }
    }
}

/// One row of the input, which starts at `start` of its plane and with tap `tap` of the windows over it.
fn update_row<T: Element, P: Place>(width: &Axis, x: &[T], first: usize, start: usize, y: &mut [T], found: &mut [P]) {
    for tap in &width.taps {
        let index = (start + tap.first).wrapping_sub(tap.outputs.start * width.stride);
        let place = P::new(first.wrapping_add(tap.number), index);
        let (x, y, found) = (&x[tap.first..], &mut y[tap.outputs.clone()], &mut found[tap.outputs.clone()]);
        match width.stride {
            1 => update::<T, P, 1>(x, place, y, found),
            2 => update::<T, P, 2>(x, place, y, found),
            stride => {
                let windows = y.iter_mut().zip(found).zip(x.iter().step_by(stride));
                windows.for_each(|((y, found), &x)| (*y, *found) = larger((*y, *found), (x, place)));
            }
        }
    }
}

/// One tap in all windows of a row whose stride is `S`, with no bounds to check; behind the last element of `x` there may
/// be no whole chunk.
#[inline]
fn update<T: Element, P: Place, const S: usize>(x: &[T], place: P, y: &mut [T], found: &mut [P]) {
    let (Some((y_last, y)), Some((found_last, found))) = (y.split_last_mut(), found.split_last_mut()) else { return };
    (*y_last, *found_last) = larger((*y_last, *found_last), (x[y.len() * S], place));
    for ((y, found), x) in y.iter_mut().zip(found).zip(x.as_chunks::<S>().0) {
        (*y, *found) = larger((*y, *found), (x[0], place));
    }
}

/// Windows of `S` columns side by side: each is a chunk of the row.
#[inline]
fn update_blocks<T: Element, P: Place, const S: usize>(
    x: &[T],
    first: usize,
    start: usize,
    y: &mut [T],
    found: &mut [P],
) {
    let places: [P; S] = std::array::from_fn(|tap| P::new(first.wrapping_add(tap), start + tap));
    for ((y, found), x) in y.iter_mut().zip(found).zip(x.as_chunks::<S>().0) {
        (*y, *found) = x.iter().zip(&places).fold((*y, *found), |max, (&x, &place)| larger(max, (x, place)));
    }
}

/// The first of equal elements stays, the last NaN wins. By value and without a branch, so that it runs in vectors.
#[inline(always)]
fn larger<T: Element, P: Place>((max, at): (T, P), (x, place): (T, P)) -> (T, P) {
    let wins = (x > max) | x.is_nan();
    (if wins { x } else { max }, if wins { place } else { at })
}
