//! The pooling and its gradient, each the other's gradient: both are linear, and one is the other's transpose.

use super::cpu;
use super::spec::Divisor;
use crate::Result;
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use crate::window::PoolDims;
use candle_core::{Shape, Tensor};
use std::sync::Arc;

/// `y = the mean of each window of x`.
#[derive(Clone)]
pub(super) struct AvgPool {
    dims: Arc<PoolDims>,
    divisor: Divisor,
}

/// `dx = dy / divisor`, spread over each window.
struct AvgPoolGrad(AvgPool);

impl AvgPool {
    pub(super) fn new(dims: PoolDims, divisor: Divisor) -> Self {
        Self { dims: Arc::new(dims), divisor }
    }
}

impl Operator<1> for AvgPool {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.dims, self.divisor, x))
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || AvgPoolGrad(self.clone()).apply([dy]))?])
    }
}

impl Operator<1> for AvgPoolGrad {
    fn name(&self) -> &'static str {
        self.0.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.dims.input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0.dims, self.0.divisor, dy))
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || self.0.clone().apply([dx]))?])
    }
}
