//! The softmax and its logarithm as candle operators. Their gradients are taken from the output; the derivatives of those
//! are composed of tracked operators, so that there are derivatives of every order.

use super::spec::SoftmaxDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

/// y = softmax(x).
pub(super) struct Softmax(pub(super) SoftmaxDims);

/// dx from y and dy.
struct SoftmaxGrad(SoftmaxDims);

/// y = log softmax(x).
pub(super) struct LogSoftmax(pub(super) SoftmaxDims);

/// dx from y and dy.
struct LogSoftmaxGrad(SoftmaxDims);

impl Operator<1> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::softmax(&self.0, x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::run(gpu, &self.0, "softmax", [x, x])
    }

    fn backward(&self, [_x]: [&Tensor; 1], y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(SoftmaxGrad(self.0.clone()).apply([&saved(y)?, dy])?)])
    }
}

impl Operator<2> for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax_grad"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [y, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::softmax_grad(&self.0, y, dy))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 2]) -> Result<Buffer> {
        cuda::run(gpu, &self.0, "softmax_grad", inputs)
    }

    /// ⟨dx, v⟩ = Σ y · dy · v − (Σ y · dy) · (Σ y · v), the inner sums along the axis.
    fn backward(&self, [y, dy]: [&Tensor; 2], _dx: &Tensor, v: &Tensor) -> Grads<2> {
        let by_y = wanted(y, || {
            let (y, dy) = (saved(y)?, saved(dy)?);
            let sum = |tensor: &Tensor| (&y * tensor)?.sum_keepdim(self.0.axis);
            (v * dy.broadcast_sub(&sum(&dy)?)?)?.sub(&dy.broadcast_mul(&sum(v)?)?)
        })?;
        let by_dy = wanted(dy, || SoftmaxGrad(self.0.clone()).apply([&saved(y)?, v]))?;
        Ok([by_y, by_dy])
    }
}

impl Operator<1> for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::log_softmax(&self.0, x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::run(gpu, &self.0, "log_softmax", [x, x])
    }

    fn backward(&self, [_x]: [&Tensor; 1], y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(LogSoftmaxGrad(self.0.clone()).apply([&saved(y)?, dy])?)])
    }
}

impl Operator<2> for LogSoftmaxGrad {
    fn name(&self) -> &'static str {
        "log_softmax_grad"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [y, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::log_softmax_grad(&self.0, y, dy))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 2]) -> Result<Buffer> {
        cuda::run(gpu, &self.0, "log_softmax_grad", inputs)
    }

    /// ⟨dx, v⟩ = Σ dy · v − (Σ dy) · (Σ exp(y) · v), the inner sums along the axis.
    fn backward(&self, [y, dy]: [&Tensor; 2], _dx: &Tensor, v: &Tensor) -> Grads<2> {
        let weighted = || saved(y)?.exp()? * v;
        let by_y = wanted(y, || weighted()?.broadcast_mul(&saved(dy)?.sum_keepdim(self.0.axis)?)?.neg())?;
        let by_dy = wanted(dy, || v.broadcast_sub(&weighted()?.sum_keepdim(self.0.axis)?))?;
        Ok([by_y, by_dy])
    }
}
