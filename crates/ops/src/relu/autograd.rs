//! The rectifier and its gradient as candle operators.
//!
//! The gradient is `ReluGrad(dy, y)`: linear in `dy`, and constant in `y` wherever it is differentiable at all, so it is
//! its own derivative and `y` takes no part in the graph.

use super::cpu;
use crate::Result;
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};

/// y = max(x, 0).
pub(super) struct Relu {
    pub(super) shape: Shape,
}

/// dx from dy and y.
struct ReluGrad {
    shape: Shape,
}

impl Kernel<1> for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(x))
    }
}

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, layout)])
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        dy.apply_op2(&y.detach(), ReluGrad { shape: self.shape.clone() }).map(Some)
    }
}

impl Kernel<2> for ReluGrad {
    fn name(&self) -> &'static str {
        "relu_grad"
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [dy, y]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::grad(dy, y))
    }
}

impl CustomOp2 for ReluGrad {
    fn name(&self) -> &'static str {
        "relu_grad"
    }

    fn cpu_fwd(
        &self,
        dy: &CpuStorage,
        dy_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(dy, dy_layout), (y, y_layout)])
    }

    fn bwd(
        &self,
        _dy: &Tensor,
        y: &Tensor,
        _dx: &Tensor,
        ddx: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let ddy = ddx.apply_op2(y, ReluGrad { shape: self.shape.clone() })?;
        Ok((Some(ddy), None))
    }
}
