//! Resampling on slices, a row of the output at a time: first the weighted sum of whole rows of the input, which are
//! contiguous, then the taps within that one row.

use super::spec::{Axis, InterpolateDims};
use crate::parallel;
use crate::storage::Element;

/// The taps of the three axes, their weights in the element type.
struct Taps<T>([Vec<(usize, T)>; 3]);

/// The weighted sums of all output positions.
pub(super) fn forward<T: Element>(dims: &InterpolateDims, x: &[T]) -> Vec<T> {
    let (planes, taps) = (&dims.planes, Taps::new(dims));
    let [.., width] = &dims.axes;
    parallel::build(planes.output_len, T::zero(), planes.plane_out, dims.work(), |plane, y| {
        let x = &x[plane * planes.plane_in..][..planes.plane_in];
        let mut row = vec![T::zero(); width.input];
        for (rows, y) in taps.rows(dims).zip(y.chunks_exact_mut(width.output)) {
            // The first is set, not added to zero, so that a copy keeps its sign.
            for (i, (start, weight)) in rows.enumerate() {
                let x = row.iter_mut().zip(&x[start..]);
                match i {
                    0 => x.for_each(|(row, &x)| *row = weight * x),
                    _ => x.for_each(|(row, &x)| *row += weight * x),
                }
            }
            match width.width {
                1 => gather::<T, 1>(&taps.0[2], &row, y),
                2 => gather::<T, 2>(&taps.0[2], &row, y),
                _ => gather::<T, 4>(&taps.0[2], &row, y),
            }
        }
    })
}

/// Every element of `dy`, weighted, added to those that it is the sum of.
pub(super) fn transpose<T: Element>(dims: &InterpolateDims, dy: &[T]) -> Vec<T> {
    let (planes, taps) = (&dims.planes, Taps::new(dims));
    let [.., width] = &dims.axes;
    parallel::build(planes.input.iter().product(), T::zero(), planes.plane_in, dims.work(), |plane, dx| {
        let dy = &dy[plane * planes.plane_out..][..planes.plane_out];
        let mut row = vec![T::zero(); width.input];
        for (rows, dy) in taps.rows(dims).zip(dy.chunks_exact(width.output)) {
            row.fill(T::zero());
            match width.width {
                1 => scatter::<T, 1>(&taps.0[2], dy, &mut row),
                2 => scatter::<T, 2>(&taps.0[2], dy, &mut row),
                _ => scatter::<T, 4>(&taps.0[2], dy, &mut row),
            }
            for (start, weight) in rows {
                dx[start..].iter_mut().zip(&row).for_each(|(dx, &row)| *dx += weight * row);
            }
        }
    })
}

/// Each of `y` from its `K` taps in `row`.
fn gather<T: Element, const K: usize>(taps: &[(usize, T)], row: &[T], y: &mut [T]) {
    for (y, taps) in y.iter_mut().zip(taps.as_chunks::<K>().0) {
        let (at, weight) = taps[0];
        *y = taps[1..].iter().fold(weight * row[at], |sum, &(at, weight)| sum + weight * row[at]);
    }
}

/// The transpose of [`gather`].
fn scatter<T: Element, const K: usize>(taps: &[(usize, T)], dy: &[T], row: &mut [T]) {
    for (&dy, taps) in dy.iter().zip(taps.as_chunks::<K>().0) {
        taps.iter().for_each(|&(at, weight)| row[at] += weight * dy);
    }
}

impl<T: Element> Taps<T> {
    fn new(dims: &InterpolateDims) -> Self {
        let narrow = |axis: &Axis| axis.taps.iter().map(|&(at, weight)| (at, T::from_f64(weight))).collect();
        Self(dims.axes.each_ref().map(narrow))
    }

    /// For every row of an output plane, the starts of the input rows that it is the sum of, and their weights.
    fn rows(&self, dims: &InterpolateDims) -> impl Iterator<Item = impl Iterator<Item = (usize, T)>> {
        let [depth, height, width] = &dims.axes;
        let (rows, across) = (height.input, width.input);
        let [by_depth, by_height, _] = &self.0;
        by_depth.chunks_exact(depth.width).flat_map(move |by_depth| {
            by_height.chunks_exact(height.width).map(move |by_height| {
                by_depth.iter().flat_map(move |&(at, outer)| {
                    by_height.iter().map(move |&(row, inner)| ((at * rows + row) * across, outer * inner))
                })
            })
        })
    }
}
