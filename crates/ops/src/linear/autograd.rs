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

use super::cpu;
use super::spec::LinearDims;
use crate::Result;
use crate::graph::{saved, wanted};
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor};

type Output = candle_core::Result<(CpuStorage, Shape)>;
type Grads2 = candle_core::Result<(Option<Tensor>, Option<Tensor>)>;
type Grads3 = candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)>;

/// y = x · wᵀ (+ b).
pub(super) struct Linear(pub(super) LinearDims);

/// dx from dy and w.
struct InputGrad(LinearDims);

/// dw from x and dy.
struct WeightGrad(LinearDims);

/// db from dy.
struct BiasGrad(LinearDims);

impl Kernel<2> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, None))
    }
}

impl Kernel<3> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self) -> Shape {
        self.0.y_shape()
    }

    fn run<T: Element>(&self, [x, w, b]: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0, x, w, Some(b)))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, w: &CpuStorage, w_layout: &Layout) -> Output {
        storage::run::<2, _>(self, [(x, x_layout), (w, w_layout)])
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Grads2 {
        let dx = wanted(x, || dy.apply_op2(&saved(w)?, InputGrad(self.0.clone())))?;
        let dw = wanted(w, || saved(x)?.apply_op2(dy, WeightGrad(self.0.clone())))?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Output {
        storage::run::<3, _>(self, [(x, x_layout), (w, w_layout), (b, b_layout)])
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, b: &Tensor, y: &Tensor, dy: &Tensor) -> Grads3 {
        let (dx, dw) = CustomOp2::bwd(self, x, w, y, dy)?;
        let db = wanted(b, || dy.apply_op1(BiasGrad(self.0.clone())))?;
        Ok((dx, dw, db))
    }
}

impl Kernel<2> for InputGrad {
    fn name(&self) -> &'static str {
        "linear_input_grad"
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
        "linear_input_grad"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, dy_layout: &Layout, w: &CpuStorage, w_layout: &Layout) -> Output {
        storage::run(self, [(dy, dy_layout), (w, w_layout)])
    }

    fn bwd(&self, dy: &Tensor, w: &Tensor, _dx: &Tensor, ddx: &Tensor) -> Grads2 {
        let ddy = wanted(dy, || ddx.apply_op2(&saved(w)?, Linear(self.0.clone())))?;
        let dw = wanted(w, || ddx.apply_op2(&saved(dy)?, WeightGrad(self.0.clone())))?;
        Ok((ddy, dw))
    }
}

impl Kernel<2> for WeightGrad {
    fn name(&self) -> &'static str {
        "linear_weight_grad"
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
        "linear_weight_grad"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, dy: &CpuStorage, dy_layout: &Layout) -> Output {
        storage::run(self, [(x, x_layout), (dy, dy_layout)])
    }

    fn bwd(&self, x: &Tensor, dy: &Tensor, _dw: &Tensor, ddw: &Tensor) -> Grads2 {
        let dx = wanted(x, || saved(dy)?.apply_op2(ddw, InputGrad(self.0.clone())))?;
        let ddy = wanted(dy, || saved(x)?.apply_op2(ddw, Linear(self.0.clone())))?;
        Ok((dx, ddy))
    }
}

impl Kernel<1> for BiasGrad {
    fn name(&self) -> &'static str {
        "linear_bias_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.out_features)
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::bias_grad(&self.0, dy))
    }
}

impl CustomOp1 for BiasGrad {
    fn name(&self) -> &'static str {
        "linear_bias_grad"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, layout: &Layout) -> Output {
        storage::run(self, [(dy, layout)])
    }

    fn bwd(&self, _dy: &Tensor, _db: &Tensor, ddb: &Tensor) -> candle_core::Result<Option<Tensor>> {
        ddb.broadcast_as(self.0.y_shape()).map(Some)
    }
}
