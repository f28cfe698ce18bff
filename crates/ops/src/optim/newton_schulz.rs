//! The Newton–Schulz iteration that drives the singular values of a matrix towards 1, on slices.

use super::MuonStep;
use crate::matmul::{Matrix, matmul};
use crate::parallel::for_each_item;
use crate::storage::Element;
use candle_core::WithDType;

/// Rows of a product that one task computes.
const BLOCK: usize = 64;

/// `rows × columns` elements of `x`, orthogonalised.
pub(super) fn newton_schulz<T: Element>(x: &[T], rows: usize, columns: usize, step: &MuonStep) -> Vec<T> {
    let (a, b, c) = step.ns_coefficients;
    let [a, b, c] = [a, b, c].map(T::from_f64);
    let norm = x.iter().map(|&x| WithDType::to_f64(x).powi(2)).sum::<f64>().sqrt();
    let scale = T::from_f64(norm.max(step.eps));
    // The products are over the shorter side.
    let tall = rows > columns;
    let (m, n) = if tall { (columns, rows) } else { (rows, columns) };
    let mut x: Vec<T> = if tall { transposed(x, rows, columns) } else { x.to_vec() };
    x.iter_mut().for_each(|x| *x /= scale);
    let mut gram = vec![T::zero(); m * m];
    for _ in 0..step.ns_steps {
        product(&mut gram, m, false, Matrix::new(&x, m, n, n), Matrix::new(&x, m, n, n).t());
        let scaled = |by: T| -> Vec<T> { gram.iter().map(|&x| by * x).collect() };
        let (mut polynomial, left) = (scaled(b), scaled(c));
        product(&mut polynomial, m, true, Matrix::new(&left, m, m, m), Matrix::new(&gram, m, m, m));
        let mut next: Vec<T> = x.iter().map(|&x| a * x).collect();
        product(&mut next, n, true, Matrix::new(&polynomial, m, m, m), Matrix::new(&x, m, n, n));
        x = next;
    }
    if tall { transposed(&x, columns, rows) } else { x }
}

/// [`matmul`] in blocks of rows.
fn product<T: Element>(dst: &mut [T], columns: usize, accumulate: bool, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) {
    let inner = rhs.rows();
    for_each_item(dst, BLOCK * columns, BLOCK * columns * inner, |block, dst| {
        let first = block * BLOCK;
        let rows = first..first + dst.len() / columns;
        matmul(dst, columns, accumulate, lhs.block(rows, 0..inner), rhs);
    });
}

fn transposed<T: Element>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| x[row * columns + column])).collect()
}
