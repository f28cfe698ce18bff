//! Maximum pooling on slices, a plane at a time.

use crate::parallel;
use crate::storage::Element;
use crate::window::{PoolDims, Tap};

/// What is kept of a maximum's place: the flat index in its plane, or nothing.
pub(super) trait Place: Copy + Send {
    fn at(index: usize) -> Self;
}

impl Place for i64 {
    fn at(index: usize) -> Self {
        index as i64
    }
}

impl Place for () {
    fn at(_: usize) -> Self {}
}

/// The maxima of all windows and their places.
pub(super) fn forward<T: Element, P: Place>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<P>) {
    let mut y = vec![T::neg_infinity(); dims.output_len];
    let mut places = vec![P::at(0); dims.output_len];
    parallel::for_each_pair(&mut y, &mut places, dims.plane_out, dims.work(), |plane, y, places| {
        plane_forward(dims, &x[plane * dims.plane_in..][..dims.plane_in], y, places);
    });
    (y, places)
}

/// Adds `dy` to the places it came from.
pub(super) fn scatter<T: Element>(dims: &PoolDims, places: &[i64], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); dims.input.iter().product()];
    parallel::for_each_item(&mut dx, dims.plane_in, dims.plane_in, |plane, dx| {
        let outputs = plane * dims.plane_out..(plane + 1) * dims.plane_out;
        for (&place, &dy) in places[outputs.clone()].iter().zip(&dy[outputs]) {
            dx[place as usize] += dy;
        }
    });
    dx
}

/// The elements of `x` at the places.
pub(super) fn gather<T: Element>(dims: &PoolDims, places: &[i64], x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); dims.output_len];
    parallel::for_each_item(&mut y, dims.plane_out, dims.plane_out, |plane, y| {
        let x = &x[plane * dims.plane_in..][..dims.plane_in];
        for (y, &place) in y.iter_mut().zip(&places[plane * dims.plane_out..]) {
            *y = x[place as usize];
        }
    });
    y
}

/// A row of windows takes its elements tap by tap, so every window sees its own in row-major order.
fn plane_forward<T: Element, P: Place>(dims: &PoolDims, x: &[T], y: &mut [T], places: &mut [P]) {
    let width = dims.width();
    let rows = y.chunks_exact_mut(width.output).zip(places.chunks_exact_mut(width.output));
    for (row, (y, places)) in dims.rows().zip(rows) {
        // Where all elements are −∞ none is larger than the start, and the first is the place.
        let first = row.input_rows().next().unwrap_or_default();
        places.iter_mut().zip(&width.spans).for_each(|(place, span)| *place = P::at(first + span.first));
        for start in row.input_rows() {
            for tap in &width.taps {
                match width.stride {
                    1 => update::<T, P, 1>(tap, start, x, y, places),
                    2 => update::<T, P, 2>(tap, start, x, y, places),
                    stride => update_any(tap, start, stride, x, y, places),
                }
            }
        }
    }
}

/// One tap in all windows of a row whose stride is `S`, so that the loop has no bounds to check.
#[inline]
fn update<T: Element, P: Place, const S: usize>(tap: &Tap, start: usize, x: &[T], y: &mut [T], places: &mut [P]) {
    let first = start + tap.first;
    let (y, places) = (&mut y[tap.outputs.clone()], &mut places[tap.outputs.clone()]);
    let Some(last) = y.len().checked_sub(1) else { return };
    let (whole, _) = x[first..].as_chunks::<S>();
    for (i, ((y, place), x)) in y.iter_mut().zip(&mut *places).zip(&whole[..last]).enumerate() {
        take(y, place, x[0], first + i * S);
    }
    // Behind the last element there may be no whole chunk.
    take(&mut y[last], &mut places[last], x[first + last * S], first + last * S);
}

fn update_any<T: Element, P: Place>(tap: &Tap, start: usize, stride: usize, x: &[T], y: &mut [T], places: &mut [P]) {
    let outputs = y[tap.outputs.clone()].iter_mut().zip(&mut places[tap.outputs.clone()]);
    for ((y, place), i) in outputs.zip((start + tap.first..).step_by(stride)) {
        take(y, place, x[i], i);
    }
}

/// The first of equal elements stays, the last NaN wins.
#[inline(always)]
fn take<T: Element, P: Place>(y: &mut T, place: &mut P, x: T, index: usize) {
    let wins = x > *y || x.is_nan();
    *y = if wins { x } else { *y };
    *place = if wins { P::at(index) } else { *place };
}
