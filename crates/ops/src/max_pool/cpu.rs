//! Maximum pooling on slices, a plane at a time.

use crate::parallel;
use crate::planes::Planes;
use crate::storage::Element;
use crate::window::{Axis, PoolDims};

#[cfg(test)]
mod golden_tests;

/// The place of a maximum within its plane, less what the output's column adds to it: the same for a whole row, so that
/// noting it costs no arithmetic. Modular, since it may be negative; as wide as a float32 where that holds the plane, so
/// that one comparison serves as the mask of both.
trait Place: Copy {
    fn new(index: usize, column: usize) -> Self;
    fn index(self, column: usize) -> i64;
}

impl Place for u32 {
    #[inline(always)]
    fn new(index: usize, column: usize) -> Self {
        (index as u32).wrapping_sub(column as u32)
    }

    #[inline(always)]
    fn index(self, column: usize) -> i64 {
        self.wrapping_add(column as u32).into()
    }
}

impl Place for u64 {
    #[inline(always)]
    fn new(index: usize, column: usize) -> Self {
        (index as u64).wrapping_sub(column as u64)
    }

    #[inline(always)]
    fn index(self, column: usize) -> i64 {
        self.wrapping_add(column as u64) as i64
    }
}

/// The maxima of all windows.
pub(super) fn forward<T: Element>(dims: &PoolDims, x: &[T]) -> Vec<T> {
    let mut y = vec![T::neg_infinity(); dims.planes.output_len];
    parallel::for_each_item(&mut y, dims.planes.plane_out, dims.work(), |plane, y| {
        plane_forward(dims, &x[plane * dims.planes.plane_in..][..dims.planes.plane_in], y, None);
    });
    y
}

/// The maxima of all windows and their places.
pub(super) fn forward_with_places<T: Element>(dims: &PoolDims, x: &[T]) -> (Vec<T>, Vec<i64>) {
    let mut y = vec![T::neg_infinity(); dims.planes.output_len];
    let mut places = vec![0; dims.planes.output_len];
    parallel::for_each_pair(&mut y, &mut places, dims.planes.plane_out, dims.work(), |plane, y, places| {
        plane_forward(dims, &x[plane * dims.planes.plane_in..][..dims.planes.plane_in], y, Some(places));
    });
    (y, places)
}

/// Adds `dy` to the places it came from.
pub(super) fn scatter<T: Element>(planes: &Planes, places: &[i64], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); planes.input.iter().product()];
    parallel::for_each_item(&mut dx, planes.plane_in, planes.plane_in, |plane, dx| {
        let outputs = plane * planes.plane_out..(plane + 1) * planes.plane_out;
        for (&place, &dy) in places[outputs.clone()].iter().zip(&dy[outputs]) {
            dx[place as usize] += dy;
        }
    });
    dx
}

/// The elements of `x` at the places.
pub(super) fn gather<T: Element>(planes: &Planes, places: &[i64], x: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); planes.output_len];
    parallel::for_each_item(&mut y, planes.plane_out, planes.plane_out, |plane, y| {
        let x = &x[plane * planes.plane_in..][..planes.plane_in];
        for (y, &place) in y.iter_mut().zip(&places[plane * planes.plane_out..]) {
            *y = x[place as usize];
        }
    });
    y
}

fn plane_forward<T: Element>(dims: &PoolDims, x: &[T], y: &mut [T], places: Option<&mut [i64]>) {
    let blocks = dims.width().side_by_side();
    match u32::try_from(x.len()) {
        Ok(_) => rows_forward::<T, u32>(dims, blocks, x, y, places),
        Err(_) => rows_forward::<T, u64>(dims, blocks, x, y, places),
    }
}

/// A row of windows takes its elements tap by tap, or block by block where `blocks` says that they lie side by side, so
/// every window sees its own in row-major order.
fn rows_forward<T: Element, P: Place>(
    dims: &PoolDims,
    blocks: bool,
    x: &[T],
    y: &mut [T],
    mut places: Option<&mut [i64]>,
) {
    let width = dims.width();
    let blocks = blocks.then_some(width.stride);
    let mut found = vec![P::new(0, 0); width.output];
    for (i, (row, y)) in dims.rows().zip(y.chunks_exact_mut(width.output)).enumerate() {
        // Where all elements are −∞ none is larger than the start, and the first is the place.
        let first = row.input_rows().next().unwrap_or_default();
        for (column, (found, span)) in found.iter_mut().zip(&width.spans).enumerate() {
            *found = P::new(first + span.first, column * width.stride);
        }
        for start in row.input_rows() {
            match blocks {
                Some(2) => update_blocks::<T, P, 2>(&x[start..], start, y, &mut found),
                Some(3) => update_blocks::<T, P, 3>(&x[start..], start, y, &mut found),
                _ => update_row(width, &x[start..], start, y, &mut found),
            }
        }
        if let Some(places) = &mut places {
            for (column, found) in found.iter().enumerate() {
                places[i * width.output + column] = found.index(column * width.stride);
            }
        }
    }
}

/// One row of the input, which starts at `start` of its plane, in the windows over it.
fn update_row<T: Element, P: Place>(width: &Axis, x: &[T], start: usize, y: &mut [T], found: &mut [P]) {
    for tap in &width.taps {
        let place = P::new(start + tap.first, tap.outputs.start * width.stride);
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
fn update_blocks<T: Element, P: Place, const S: usize>(x: &[T], start: usize, y: &mut [T], found: &mut [P]) {
    let places: [P; S] = std::array::from_fn(|tap| P::new(start + tap, 0));
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
