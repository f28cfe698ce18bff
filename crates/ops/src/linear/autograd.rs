//! The affine map and its gradients as candle operators.
//!
//! The three products close under differentiation: each is linear in both arguments, and the gradient of one is written
//! with the other two.
//!
//! | operator | value | gradient of the first argument | gradient of the second |
//! |---|---|---|---|
//! | [`Linear`]`(x, w)` | y = x·wᵀ | `InputGrad(dy, w)` | `WeightGrad(x, dy)` |
//! | [`InputGrad`]`(dy, w)` | dx = dy·w | `Linear(ddx, w)` | `WeightGrad(ddx, dy)` |
//! | [`WeightGrad`]`(x, dy)` | dw = dyᵀ·x | `InputGrad(dy, ddw)` | `Linear(x, ddw)` |

use super::spec::LinearDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

/// y = x · wᵀ (+ b).
pub(super) struct Linear(pub(super) LinearDims);

/// dx from dy and w.
struct InputGrad(LinearDims);

/// dw from x and dy.
struct WeightGrad(LinearDims);

/// db from dy.
struct BiasGrad(LinearDims);

impl Operator<2> for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let dx = wanted(x, || InputGrad(self.0.clone()).apply([dy, &saved(w)?]))?;
        let dw = wanted(w, || WeightGrad(self.0.clone()).apply([&saved(x)?, dy]))?;
        Ok([dx, dw])
    }
}

impl Operator<3> for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let db = wanted(b, || BiasGrad(self.0.clone()).apply([dy]))?;
        Ok([dx, dw, db])
    }
}

impl Operator<2> for InputGrad {
    fn name(&self) -> &'static str {
        "linear_input_grad"
    }

    fn shape(&self) -> Shape {
        self.0.x_shape()
    }

    fn run<T: Element>(&self, [dy, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0, dy, w))
    }

    fn cuda(&self, gpu: &Gpu, [dy, w]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::input_grad(gpu, &self.0, dy, w)
    }

    fn backward(&self, [dy, w]: [&Tensor; 2], _dx: &Tensor, ddx: &Tensor) -> Grads<2> {
        let ddy = wanted(dy, || Linear(self.0.clone()).apply([ddx, &saved(w)?]))?;
        let dw = wanted(w, || WeightGrad(self.0.clone()).apply([ddx, &saved(dy)?]))?;
        Ok([ddy, dw])
    }
}

impl Operator<2> for WeightGrad {
    fn name(&self) -> &'static str {
        "linear_weight_grad"
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
        let dx = wanted(x, || InputGrad(self.0.clone()).apply([&saved(dy)?, ddw]))?;
        let ddy = wanted(dy, || Linear(self.0.clone()).apply([&saved(x)?, ddw]))?;
        Ok([dx, ddy])
    }
}

impl Operator<1> for BiasGrad {
    fn name(&self) -> &'static str {
        "linear_bias_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.out_features)
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::bias_grad(&self.0, dy))
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::bias_grad(gpu, &self.0, dy)
    }

    fn backward(&self, [_dy]: [&Tensor; 1], _db: &Tensor, ddb: &Tensor) -> Grads<1> {
        Ok([Some(ddb.broadcast_as(self.0.y_shape())?)])
    }
}
