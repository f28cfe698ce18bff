//! Matrix products over slices with strides: on one thread, so that the caller cuts the work, or cut into columns by their
//! number alone; results never depend on threads.

use crate::storage::Element;
use rayon::prelude::*;
use std::mem::MaybeUninit;
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
    assert!(
        n <= row_stride.max(n * usize::from(m == 1)) && (m - 1) * row_stride + n <= dst.len(),
        "matmul: dst is short"
    );
    // SAFETY: the assertion above holds the largest index of an element that is written, and `dst` is borrowed mutably, so that
    // it overlaps neither operand; its rows do not overlap. Its elements have values.
    unsafe { write_product(dst.as_mut_ptr(), row_stride, accumulate, lhs, rhs) }
}

/// `dst = lhs · rhs`, whatever was there.
pub(crate) fn matmul_new<T: Element>(
    dst: &mut [MaybeUninit<T>],
    row_stride: usize,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
) {
    let (m, n) = (lhs.rows, rhs.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        n <= row_stride.max(n * usize::from(m == 1)) && (m - 1) * row_stride + n <= dst.len(),
        "matmul: dst is short"
    );
    // SAFETY: as in `matmul`; nothing is added to what was there.
    unsafe { write_product(dst.as_mut_ptr().cast(), row_stride, false, lhs, rhs) }
}

/// `lhs · rhs`, cut into blocks of `block` columns that are computed in parallel, each sum `slice` terms after the other.
pub(crate) fn matmul_by_columns<T: Element>(
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    block: usize,
    slice: usize,
) -> Vec<T> {
    /// Where the product is written.
    struct Start<T>(*mut T);
    // SAFETY: each task writes columns of its own through it, numbers that may be sent.
    unsafe impl<T: Send> Sync for Start<T> {}

    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    if m == 0 || n == 0 || k == 0 {
        return vec![T::zero(); m * n];
    }
    let mut out: Vec<T> = Vec::with_capacity(m * n);
    let start = &Start(out.spare_capacity_mut()[..m * n].as_mut_ptr().cast::<T>());
    (0..n.div_ceil(block)).into_par_iter().for_each(|i| {
        let cols = i * block..((i + 1) * block).min(n);
        for first in (0..k).step_by(slice) {
            let terms = first..(first + slice).min(k);
            let (lhs, rhs) = (lhs.block(0..m, terms.clone()), rhs.block(terms, cols.clone()));
            // SAFETY: rows of `cols.len()` elements, `n` apart, from column `cols.start` on lie inside the `m · n` elements, no
            // other task has these columns, and the first slice writes them before another adds to them.
            unsafe { write_product(start.0.add(cols.start), n, first > 0, lhs, rhs) }
        }
    });
    // SAFETY: the blocks are all `n` columns, and the first slice of each writes all of its `m` rows.
    unsafe { out.set_len(m * n) };
    out
}

/// `dst = lhs · rhs`, or `dst += lhs · rhs`.
///
/// # Safety
///
/// `rhs.cols` elements from each of `lhs.rows` places on, `row_stride` elements apart from `dst` on, may be written, which no other
/// thread reads or writes, and overlap neither each other nor an operand. If `accumulate`, they have values.
unsafe fn write_product<T: Element>(
    dst: *mut T,
    row_stride: usize,
    accumulate: bool,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
) {
    let (m, k, n) = (lhs.rows, lhs.cols, rhs.cols);
    assert_eq!(k, rhs.rows, "matmul: the inner extents differ");
    assert!(lhs.fits() && rhs.fits(), "matmul: an operand leaves its slice");
    // SAFETY: every index `i·row_stride + j·col_stride` of an operand that gemm reads lies inside its slice: `fits` holds the
    // largest. The caller vouches for `dst`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
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
    fn a_product_by_columns_is_the_product() {
        let numbers = |count: usize| (0..count).map(|i| (i * 7919 % 11) as f32 - 5.).collect::<Vec<f32>>();
        for [m, k, n] in [[3, 7, 70], [1, 1, 1], [5, 0, 4], [0, 3, 2], [4, 33, 8]] {
            let (a, b) = (numbers(m * k), numbers(k * n));
            let (a, b) = (Matrix::new(&a, m, k, k), Matrix::new(&b, n, k, k).t());
            let mut expected = vec![0.; m * n];
            matmul(&mut expected, n, true, a, b);
            for (block, slice) in [(1, 1), (8, 5), (100, 100)] {
                assert_eq!(matmul_by_columns(a, b, block, slice), expected, "{m}×{k}×{n} {block} {slice}");
            }
        }
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
