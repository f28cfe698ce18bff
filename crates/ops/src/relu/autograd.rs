//! The rectifier and its gradient as candle operators.
//!
//! The gradient is `ReluGrad(dy, y)`: linear in `dy`, and constant in `y` wherever it is differentiable at all, so it is
//! its own derivative and `y` takes no part in the graph.

use super::cpu;
use crate::Result;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

/// y = max(x, 0).
pub(super) struct Relu {
    pub(super) shape: Shape,
}

/// dx from dy and y.
struct ReluGrad {
    shape: Shape,
}

impl Operator<1> for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(x))
    }

    fn backward(&self, [_x]: [&Tensor; 1], y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(ReluGrad { shape: self.shape.clone() }.apply([dy, &y.detach()])?)])
    }
}

impl Operator<2> for ReluGrad {
    fn name(&self) -> &'static str {
        "relu_grad"
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [dy, y]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::grad(dy, y))
    }

    fn backward(&self, [_dy, y]: [&Tensor; 2], _dx: &Tensor, ddx: &Tensor) -> Grads<2> {
        let ddy = ReluGrad { shape: self.shape.clone() }.apply([ddx, y])?;
        Ok([Some(ddy), None])
    }
}
