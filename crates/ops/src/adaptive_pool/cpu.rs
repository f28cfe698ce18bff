//! Adaptive pooling on slices, a plane at a time. Windows differ in size, so each takes its elements by itself.

use super::spec::AdaptiveDims;
use crate::grid::{Grid, Row};
use crate::parallel;
use crate::storage::Element;

/// The maxima of all windows and their places: the first of equal elements, the last NaN.
pub(super) fn maxima<T: Element>(AdaptiveDims { planes, grid }: &AdaptiveDims, x: &[T]) -> (Vec<T>, Vec<i64>) {
    parallel::build_pair(planes.output_len, (T::zero(), 0), planes.plane_out, grid.work(), |plane, y, places| {
        plane_maxima(grid, &x[plane * planes.plane_in..][..planes.plane_in], y, places);
    })
}

/// The maxima of one plane and their places.
pub(crate) fn plane_maxima<T: Element>(grid: &Grid, x: &[T], y: &mut [T], places: &mut [i64]) {
    let windows = &grid.width().windows;
    let rows = y.chunks_exact_mut(windows.len()).zip(places.chunks_exact_mut(windows.len()));
    for (row, (y, places)) in grid.rows().zip(rows) {
        for ((y, place), window) in y.iter_mut().zip(places).zip(windows) {
            (*y, *place) = maximum(x, row.input_rows().map(|start| start + window.start..start + window.end));
        }
    }
}

/// The means of all windows.
pub(super) fn means<T: Element>(AdaptiveDims { planes, grid }: &AdaptiveDims, x: &[T]) -> Vec<T> {
    let windows = &grid.width().windows;
    let mut y = vec![T::zero(); planes.output_len];
    parallel::for_each_item(&mut y, planes.plane_out, grid.work(), |plane, y| {
        let x = &x[plane * planes.plane_in..][..planes.plane_in];
        for (row, y) in grid.rows().zip(y.chunks_exact_mut(windows.len())) {
            for (y, window) in y.iter_mut().zip(windows) {
                for start in row.input_rows() {
                    x[start + window.start..start + window.end].iter().for_each(|&x| *y += x);
                }
                *y /= count(&row, window.len());
            }
        }
    });
    y
}

/// `dy` over its count, added to every element of its window.
pub(super) fn spread<T: Element>(AdaptiveDims { planes, grid }: &AdaptiveDims, dy: &[T]) -> Vec<T> {
    let windows = &grid.width().windows;
    let mut dx = vec![T::zero(); planes.input.iter().product()];
    parallel::for_each_item(&mut dx, planes.plane_in, grid.work(), |plane, dx| {
        let dy = &dy[plane * planes.plane_out..][..planes.plane_out];
        for (row, dy) in grid.rows().zip(dy.chunks_exact(windows.len())) {
            for (&dy, window) in dy.iter().zip(windows) {
                let share = dy / count(&row, window.len());
                for start in row.input_rows() {
                    dx[start + window.start..start + window.end].iter_mut().for_each(|dx| *dx += share);
                }
            }
        }
    });
    dx
}

fn count<T: Element>(row: &Row<'_>, across: usize) -> T {
    T::from_f64(row.count(across) as f64)
}

/// The maximum of `x` over `runs`, and its place. Where all elements are −∞ none is larger than the start, and the first is
/// the place.
fn maximum<T: Element>(x: &[T], mut runs: impl Iterator<Item = std::ops::Range<usize>>) -> (T, i64) {
    let mut first = runs.next().unwrap_or_default().peekable();
    let (mut max, mut place) = (T::neg_infinity(), first.peek().copied().unwrap_or_default());
    for at in first.chain(runs.flatten()) {
        if x[at] > max || x[at].is_nan() {
            (max, place) = (x[at], at);
        }
    }
    (max, place as i64)
}
