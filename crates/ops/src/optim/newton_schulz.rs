//! The Newton–Schulz iteration that drives the singular values of a matrix towards 1, on slices.

use super::MuonStep;
use crate::matmul::{Matrix, matmul};
use crate::parallel::for_each_item;
use crate::storage::Element;
use candle_core::{DType, Result, Tensor, WithDType};

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

/// The same by the products of the tensor's device.
pub(super) fn newton_schulz_on_device(x: &Tensor, rows: usize, columns: usize, step: &MuonStep) -> Result<Tensor> {
    let (a, b, c) = step.ns_coefficients;
    let norm = x.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>()?;
    let tall = rows > columns;
    let matrix = x.reshape((rows, columns))?;
    let mut x = if tall { matrix.t()?.contiguous()? } else { matrix };
    x = (x / norm.max(step.eps))?;
    for _ in 0..step.ns_steps {
        let gram = x.matmul(&x.t()?.contiguous()?)?;
        let polynomial = ((&gram * b)? + (&gram * c)?.matmul(&gram)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    if tall { x.t()?.contiguous() } else { Ok(x) }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use candle_core::Device;

    /// Both ways, where each runs: products are exact to rounding.
    #[test]
    fn a_device_gives_the_same() {
        let step = MuonStep {
            lr: 1.,
            momentum: 0.9,
            weight_decay: 0.,
            nesterov: true,
            ns_coefficients: (3.4445, -4.775, 2.0315),
            ns_steps: 5,
            eps: 1e-7,
            grad_scale: 1.,
        };
        for (rows, columns) in [(3, 5), (6, 2)] {
            let x: Vec<f64> = (0..rows * columns).map(|i| (i as f64 * 1.7).sin()).collect();
            let expected = newton_schulz(&x, rows, columns, &step);
            let x = Tensor::from_vec(x, (rows, columns), &Device::Cpu).unwrap();
            let found = newton_schulz_on_device(&x, rows, columns, &step).unwrap();
            assert_eq!(found.dims(), [rows, columns]);
            let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} for {expected:?}");
        }
    }
}
