//! Matrix product on one thread, over slices with strides: the caller cuts the work, so results never depend on threads.

use crate::storage::Element;
use std::ops::Range;

/// A matrix that views a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows × cols`, each row `row_stride` elements after the one before.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The transpose, over the same elements.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// The block of these rows and columns, which lie within the matrix.
    pub(crate) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        let first = rows.start * self.row_stride + cols.start * self.col_stride;
        Self { data: self.data.get(first..).unwrap_or_default(), rows: rows.len(), cols: cols.len(), ..self }
    }

    /// Whether every element lies inside the slice.
    fn fits(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < self.data.len()
    }
}

/// `dst = lhs · rhs`, or `dst += lhs · rhs`; rows of `dst` start `row_stride` elements apart.
pub(crate) fn matmul<T: Element>(
    dst: &mut [T],
    row_stride: usize,
    accumulate: bool,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    if m == 0 || n == 0 || (k == 0 && accumulate) {
        return;
    }
    assert_eq!(k, rhs.rows, "matmul: the inner extents differ");
    assert!(lhs.fits() && rhs.fits(), "matmul: an operand leaves its slice");
    assert!(
        n <= row_stride.max(n * usize::from(m == 1)) && (m - 1) * row_stride + n <= dst.len(),
        "matmul: dst is short"
    );
    // SAFETY: every index `i·row_stride + j·col_stride` that gemm touches lies inside its slice: `fits` and the assertion
    // above hold the largest of each. `dst` is borrowed mutably, so it overlaps neither operand, and its rows do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "products of small integers are exact")]
mod tests {
    use super::*;

    #[test]
    fn products_and_transposes() {
        let (a, b) = ([1f64, 2., 3., 4., 5., 6.], [1f64, 0., 2., 1., 1., 1.]);
        let mut dst = [10f64; 6];
        matmul(&mut dst, 3, false, Matrix::new(&a, 2, 3, 3), Matrix::new(&b, 3, 2, 2));
        assert_eq!(dst, [8., 5., 10., 20., 11., 10.]);
        matmul(&mut dst, 3, true, Matrix::new(&a, 3, 2, 2).t(), Matrix::new(&b, 2, 3, 3).t().t().t());
        assert_eq!(dst, [19., 14., 10., 34., 23., 10.]);
    }

    #[test]
    fn blocks_of_a_transpose() {
        let a = [1f64, 2., 3., 4., 5., 6.];
        let mut dst = [0f64; 2];
        let block = Matrix::new(&a, 2, 3, 3).t().block(1..3, 1..2);
        matmul(&mut dst, 1, false, block, Matrix::new(&[10f64], 1, 1, 1));
        assert_eq!(dst, [50., 60.]);
    }

    #[test]
    #[should_panic = "leaves its slice"]
    fn a_short_operand_is_refused() {
        matmul(&mut [0f32; 4], 2, false, Matrix::new(&[0f32; 3], 2, 2, 2), Matrix::new(&[0f32; 4], 2, 2, 2));
    }
}
