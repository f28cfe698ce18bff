//! Convolution and its two gradients as candle operators.
//!
//! The three close under differentiation: each is linear in both arguments, and the gradient of one is written with the
//! other two, so second and higher derivatives need nothing more.
//!
//! | operator | value | gradient of the first argument | gradient of the second |
//! |---|---|---|---|
//! | [`Conv`]`(x, w)` | y | `InputGrad(dy, w)` | `WeightGrad(x, dy)` |
//! | [`InputGrad`]`(dy, w)` | dx | `Conv(ddx, w)` | `WeightGrad(ddx, dy)` |
//! | [`WeightGrad`]`(x, dy)` | dw | `InputGrad(dy, ddw)` | `Conv(x, ddw)` |

use super::spec::ConvDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

/// y = x ⋆ w (+ b).
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv(pub(super) ConvDims);

/// dx from dy and w (+ b): as a function of its own, transposed convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputGrad(pub(super) ConvDims);

/// dw from x and dy.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightGrad(pub(super) ConvDims);

/// db from dy: the sum over samples and positions.
#[derive(Debug, Clone, Copy)]
struct BiasGrad {
    n: usize,
    channels: usize,
    plane: usize,
}

impl Operator<2> for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, None))
    }

    fn cuda(&self, gpu: &Gpu, [x, w]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::forward(gpu, &self.0, x, w, None)
    }

    fn backward(&self, [x, w]: [&Tensor; 2], _y: &Tensor, dy: &Tensor) -> Grads<2> {
        let dx = wanted(x, || InputGrad(self.0).apply([dy, &saved(w)?]))?;
        let dw = wanted(w, || WeightGrad(self.0).apply([&saved(x)?, dy]))?;
        Ok([dx, dw])
    }
}

impl Operator<3> for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w, b]: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, Some(b)))
    }

    fn cuda(&self, gpu: &Gpu, [x, w, b]: [View<'_>; 3]) -> Result<Buffer> {
        cuda::forward(gpu, &self.0, x, w, Some(b))
    }

    fn backward(&self, [x, w, b]: [&Tensor; 3], y: &Tensor, dy: &Tensor) -> Grads<3> {
        let [dx, dw] = self.backward([x, w], y, dy)?;
        let sum = BiasGrad { n: self.0.n, channels: self.0.c_out, plane: self.0.out_plane() };
        let db = wanted(b, || sum.apply([dy]))?;
        Ok([dx, dw, db])
    }
}

impl Operator<2> for InputGrad {
    fn name(&self) -> &'static str {
        "conv_transpose"
    }

    fn shape(&self) -> Shape {
        self.0.x_shape()
    }

    fn run<T: Element>(&self, [dy, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0, dy, w, None))
    }

    fn cuda(&self, gpu: &Gpu, [dy, w]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::input_grad(gpu, &self.0, dy, w, None)
    }

    fn backward(&self, [dy, w]: [&Tensor; 2], _dx: &Tensor, ddx: &Tensor) -> Grads<2> {
        let ddy = wanted(dy, || Conv(self.0).apply([ddx, &saved(w)?]))?;
        let dw = wanted(w, || WeightGrad(self.0).apply([ddx, &saved(dy)?]))?;
        Ok([ddy, dw])
    }
}

impl Operator<3> for InputGrad {
    fn name(&self) -> &'static str {
        "conv_transpose"
    }

    fn shape(&self) -> Shape {
        self.0.x_shape()
    }

    fn run<T: Element>(&self, [dy, w, b]: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0, dy, w, Some(b)))
    }

    fn cuda(&self, gpu: &Gpu, [dy, w, b]: [View<'_>; 3]) -> Result<Buffer> {
        cuda::input_grad(gpu, &self.0, dy, w, Some(b))
    }

    fn backward(&self, [dy, w, b]: [&Tensor; 3], dx: &Tensor, ddx: &Tensor) -> Grads<3> {
        let [ddy, dw] = self.backward([dy, w], dx, ddx)?;
        let sum = BiasGrad { n: self.0.n, channels: self.0.c_in, plane: self.0.in_plane() };
        let db = wanted(b, || sum.apply([ddx]))?;
        Ok([ddy, dw, db])
    }
}

impl Operator<2> for WeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn shape(&self) -> Shape {
        self.0.weight_shape()
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::weight_grad(&self.0, x, dy))
    }

    fn cuda(&self, gpu: &Gpu, [x, dy]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::weight_grad(gpu, &self.0, x, dy)
    }

    fn backward(&self, [x, dy]: [&Tensor; 2], _dw: &Tensor, ddw: &Tensor) -> Grads<2> {
        let dx = wanted(x, || InputGrad(self.0).apply([&saved(dy)?, ddw]))?;
        let ddy = wanted(dy, || Conv(self.0).apply([&saved(x)?, ddw]))?;
        Ok([dx, ddy])
    }
}

impl Operator<1> for BiasGrad {
    fn name(&self) -> &'static str {
        "conv_bias_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.channels)
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::bias_grad(self.n, self.channels, self.plane, dy))
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::bias_grad(gpu, self.n, self.channels, self.plane, dy)
    }

    fn backward(&self, [dy]: [&Tensor; 1], _db: &Tensor, ddb: &Tensor) -> Grads<1> {
        let mut dims = vec![1; dy.rank()];
        dims[1] = self.channels;
        Ok([Some(ddb.reshape(dims)?.broadcast_as(dy.shape())?)])
    }
}
