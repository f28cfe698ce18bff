//! The products on slices.
//!
//! A product is cut into blocks of its output, along the longer side, and into slices of its sums, by its size alone.
//! Each is one call of `gemm` on one thread, short enough that `gemm` cuts its sums no further, which it would do by the
//! sizes of the machine's caches.

use super::spec::LinearDims;
use crate::matmul::{Matrix, matmul, matmul_by_columns};
use crate::parallel::{build, for_each_item, map};
use crate::storage::Element;

/// Multiply-adds a block: about 50 µs, enough to hide the packing of operands and the fork.
const BLOCK: usize = 1 << 21;
/// Blocks start at multiples of this, so that only the last one has a ragged edge.
const ALIGN: usize = 32;
/// Terms a slice of the sums: the longest that `gemm` leaves whole on every machine.
const SLICE: usize = 512;
/// Rows of dy a partial sum of the bias gradient.
const SUM_ROWS: usize = 256;

pub(super) fn forward<T: Element>(dims: &LinearDims, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let mut y = product(x_matrix(dims, x), w_matrix(dims, w).t(), [dims.rows, dims.out_features, dims.in_features]);
    if let Some(b) = b {
        for_each_item(&mut y, b.len(), b.len(), |_, y| y.iter_mut().zip(b).for_each(|(y, &b)| *y += b));
    }
    y
}

pub(super) fn input_grad<T: Element>(dims: &LinearDims, dy: &[T], w: &[T]) -> Vec<T> {
    product(y_matrix(dims, dy), w_matrix(dims, w), [dims.rows, dims.in_features, dims.out_features])
}

pub(super) fn weight_grad<T: Element>(dims: &LinearDims, x: &[T], dy: &[T]) -> Vec<T> {
    product(y_matrix(dims, dy).t(), x_matrix(dims, x), [dims.out_features, dims.in_features, dims.rows])
}

/// Column sums: of each slice of rows first, then of the slices, in order.
pub(super) fn bias_grad<T: Element>(dims: &LinearDims, dy: &[T]) -> Vec<T> {
    let cols = dims.out_features;
    let mut db = vec![T::zero(); cols];
    let add = |sum: &mut [T], row: &[T]| sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += v);
    let slices = map(dims.rows.div_ceil(SUM_ROWS), |i| {
        let mut sum = vec![T::zero(); cols];
        let rows = i * SUM_ROWS..((i + 1) * SUM_ROWS).min(dims.rows);
        rows.for_each(|row| add(&mut sum, &dy[row * cols..(row + 1) * cols]));
        sum
    });
    slices.iter().for_each(|slice| add(&mut db, slice));
    db
}

fn x_matrix<'a, T>(dims: &LinearDims, x: &'a [T]) -> Matrix<'a, T> {
    Matrix::new(x, dims.rows, dims.in_features, dims.in_features)
}

fn w_matrix<'a, T>(dims: &LinearDims, w: &'a [T]) -> Matrix<'a, T> {
    Matrix::new(w, dims.out_features, dims.in_features, dims.in_features)
}

fn y_matrix<'a, T>(dims: &LinearDims, y: &'a [T]) -> Matrix<'a, T> {
    Matrix::new(y, dims.rows, dims.out_features, dims.out_features)
}

/// a · b for a `[m, k]` and b `[k, n]`.
fn product<T: Element>(a: Matrix<'_, T>, b: Matrix<'_, T>, [m, n, k]: [usize; 3]) -> Vec<T> {
    let block = (BLOCK / (m.min(n) * k).max(1)).max(1).next_multiple_of(ALIGN);
    if m >= n {
        return build(m * n, T::zero(), block * n, block * n * k, |i, c| {
            let rows = i * block..((i + 1) * block).min(m);
            write_product(c, n, a.block(rows, 0..k), b, k);
        });
    }
    matmul_by_columns(a, b, block, slice(m, k))
}

/// Terms of the sums of a product with `rows` rows that are added at once: one row is a product of a matrix and a vector, whose
/// sums `gemm` never cuts.
fn slice(rows: usize, k: usize) -> usize {
    if rows == 1 { k.max(1) } else { SLICE }
}

/// `c = a · b`, where the rows of `c`, all zero, have `cols` elements.
fn write_product<T: Element>(c: &mut [T], cols: usize, a: Matrix<'_, T>, b: Matrix<'_, T>, k: usize) {
    let rows = c.len().checked_div(cols).unwrap_or(0);
    let slice = slice(rows, k);
    for first in (0..k).step_by(slice) {
        let terms = first..(first + slice).min(k);
        matmul(c, cols, first > 0, a.block(0..rows, terms.clone()), b.block(terms, 0..cols));
    }
}
