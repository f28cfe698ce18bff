//! The affine map's products on a CUDA device: by cuBLAS, else (under emulation, and where there is nothing to add up or
//! more than its `int` can count) by a kernel of our own.
//!
//! float32 multiplies as float32 and half precision accumulates in float32, unless candle's own switches for reduced
//! precision, `set_gemm_reduced_precision_f32` and its like, allow less.

use super::spec::LinearDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, Memory, Owned, View, Work};
use candle_core::backend::BackendStorage;
use candle_core::{Layout, Shape};

static KERNEL: Kernel = Kernel::new("linear", include_str!("kernel.cu"));

/// The rows and columns that a block computes: the kernel's `SIDE`.
const SIDE: usize = 64;
/// Rows of dy a partial sum of the bias gradient: the CPU's, whose bits these are.
const SUM_ROWS: usize = 256;

/// y = x · wᵀ (+ b).
pub(super) fn forward(gpu: &Gpu, d: &LinearDims, x: View<'_>, w: View<'_>, b: Option<View<'_>>) -> Result<Buffer> {
    let (x, w) = (Matrix::new(x, d.in_features), Matrix::new(w, d.in_features));
    product(gpu, [x, w.t()], [d.rows, d.out_features, d.in_features], b)
}

/// dx = dy · w.
pub(super) fn input_grad(gpu: &Gpu, d: &LinearDims, dy: View<'_>, w: View<'_>) -> Result<Buffer> {
    let (dy, w) = (Matrix::new(dy, d.out_features), Matrix::new(w, d.in_features));
    product(gpu, [dy, w], [d.rows, d.in_features, d.out_features], None)
}

/// dw = dyᵀ · x.
pub(super) fn weight_grad(gpu: &Gpu, d: &LinearDims, x: View<'_>, dy: View<'_>) -> Result<Buffer> {
    let (x, dy) = (Matrix::new(x, d.in_features), Matrix::new(dy, d.out_features));
    product(gpu, [dy.t(), x], [d.out_features, d.in_features, d.rows], None)
}

/// Column sums: of each slice of rows first, then of the slices, in order.
pub(super) fn bias_grad(gpu: &Gpu, d: &LinearDims, dy: View<'_>) -> Result<Buffer> {
    let (slices, columns) = (d.rows.div_ceil(SUM_ROWS), d.out_features);
    let n = slices * columns;
    let mut sums = gpu.alloc_of(gpu.real(), n)?;
    let sizes = [d.rows, columns, SUM_ROWS, n].map(Arg::Size);
    let args = [Arg::In(dy), Arg::Out(&mut sums)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "linear_slice_sums", Work::Each(n), args)?;
    let mut db = gpu.alloc(columns)?;
    let args = vec![Arg::In(sums.view()), Arg::Out(&mut db), Arg::Size(slices), Arg::Size(columns)];
    gpu.launch(&KERNEL, "linear_bias_grad", Work::Each(columns), args)?;
    Ok(db)
}

/// A matrix in memory, by the steps to the next row and to the next column.
#[derive(Debug, Clone, Copy)]
struct Matrix<'a> {
    view: View<'a>,
    steps: [usize; 2],
}

impl<'a> Matrix<'a> {
    fn new(view: View<'a>, columns: usize) -> Self {
        Self { view, steps: [columns, 1] }
    }

    fn t(self) -> Self {
        Self { view: self.view, steps: [self.steps[1], self.steps[0]] }
    }

    fn layout(&self, rows: usize, columns: usize) -> Layout {
        Layout::new(Shape::from((rows, columns)), self.steps.to_vec(), self.view.start)
    }
}

/// a · b (+ the bias of each column) for a `[m, k]` and b `[k, n]`.
fn product(gpu: &Gpu, [a, b]: [Matrix<'_>; 2], [m, n, k]: [usize; 3], bias: Option<View<'_>>) -> Result<Buffer> {
    let countable = [m, n, k].iter().all(|extent| (1..=i32::MAX as usize).contains(extent));
    if let (true, Memory::Device(left), Memory::Device(right)) = (countable, a.view.memory, b.view.memory) {
        let storage = left.matmul(right, (1, m, n, k), &a.layout(m, k), &b.layout(k, n))?;
        return add_bias(gpu, bias, Buffer { storage: Owned::Device(storage), len: m * n });
    }
    let mut c = gpu.alloc(m * n)?;
    let tiles = m.div_ceil(SIDE) * n.div_ceil(SIDE);
    let sizes = [&[m, n, k][..], &a.steps, &b.steps].concat();
    let pointers = [Arg::In(a.view), Arg::In(b.view), bias.map_or(Arg::Null, Arg::In), Arg::Out(&mut c)];
    let args = pointers.into_iter().chain([Arg::Sizes(sizes), Arg::Size(tiles)]).collect();
    gpu.launch(&KERNEL, "linear", Work::Blocks(tiles), args)?;
    Ok(c)
}

/// Adds to each row of `y` the bias, where there is one.
fn add_bias(gpu: &Gpu, bias: Option<View<'_>>, mut y: Buffer) -> Result<Buffer> {
    if let Some(bias) = bias {
        let (columns, n) = (bias.len(), y.len());
        let args = vec![Arg::In(bias), Arg::Out(&mut y), Arg::Size(columns), Arg::Size(n)];
        gpu.launch(&KERNEL, "linear_add_bias", Work::Each(n), args)?;
    }
    Ok(y)
}
