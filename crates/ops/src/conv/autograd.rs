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

use super::cpu;
use super::spec::ConvDims;
use crate::Result;
use crate::graph::{saved, wanted};
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor};

type Grads2 = candle_core::Result<(Option<Tensor>, Option<Tensor>)>;

/// y = x ⋆ w (+ b).
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv(pub(super) ConvDims);

/// dx from dy and w.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputGrad(pub(super) ConvDims);

/// dw from x and dy.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightGrad(pub(super) ConvDims);

/// db from dy: the sum over samples and positions.
#[derive(Debug, Clone, Copy)]
struct BiasGrad(ConvDims);

impl Kernel<2> for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, None))
    }
}

impl Kernel<3> for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w, b]: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, Some(b)))
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run::<2, _>(self, [(x, x_layout), (w, w_layout)])
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Grads2 {
        let dx = wanted(x, || dy.apply_op2(&saved(w)?, InputGrad(self.0)))?;
        let dw = wanted(w, || saved(x)?.apply_op2(dy, WeightGrad(self.0)))?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run::<3, _>(self, [(x, x_layout), (w, w_layout), (b, b_layout)])
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = CustomOp2::bwd(self, x, w, y, dy)?;
        let db = wanted(b, || dy.apply_op1(BiasGrad(self.0)))?;
        Ok((dx, dw, db))
    }
}

impl Kernel<2> for InputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn shape(&self) -> Shape {
        self.0.x_shape()
    }

    fn run<T: Element>(&self, [dy, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0, dy, w))
    }
}

impl CustomOp2 for InputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn cpu_fwd(
        &self,
        dy: &CpuStorage,
        dy_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(dy, dy_layout), (w, w_layout)])
    }

    fn bwd(&self, dy: &Tensor, w: &Tensor, _dx: &Tensor, ddx: &Tensor) -> Grads2 {
        let ddy = wanted(dy, || ddx.apply_op2(&saved(w)?, Conv(self.0)))?;
        let dw = wanted(w, || ddx.apply_op2(&saved(dy)?, WeightGrad(self.0)))?;
        Ok((ddy, dw))
    }
}

impl Kernel<2> for WeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn shape(&self) -> Shape {
        self.0.weight_shape()
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::weight_grad(&self.0, x, dy))
    }
}

impl CustomOp2 for WeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, x_layout), (dy, dy_layout)])
    }

    fn bwd(&self, x: &Tensor, dy: &Tensor, _dw: &Tensor, ddw: &Tensor) -> Grads2 {
        let dx = wanted(x, || saved(dy)?.apply_op2(ddw, InputGrad(self.0)))?;
        let ddy = wanted(dy, || saved(x)?.apply_op2(ddw, Conv(self.0)))?;
        Ok((dx, ddy))
    }
}

impl Kernel<1> for BiasGrad {
    fn name(&self) -> &'static str {
        "conv_bias_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.c_out)
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::bias_grad(&self.0, dy))
    }
}

impl CustomOp1 for BiasGrad {
    fn name(&self) -> &'static str {
        "conv_bias_grad"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(dy, layout)])
    }

    fn bwd(&self, dy: &Tensor, _db: &Tensor, ddb: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut dims = vec![1; dy.rank()];
        dims[1] = self.0.c_out;
        Ok(Some(ddb.reshape(dims)?.broadcast_as(dy.shape())?))
    }
}
