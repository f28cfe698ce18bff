//! The pooling and its gradient, each the other's gradient: both are linear, and one is the other's transpose.

use super::cpu;
use super::spec::Divisor;
use crate::Result;
use crate::storage::{self, Element, Kernel};
use crate::window::PoolDims;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
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

impl Kernel<1> for AvgPool {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.dims, self.divisor, x))
    }
}

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, layout)])
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        dy.apply_op1(AvgPoolGrad(self.clone())).map(Some)
    }
}

impl Kernel<1> for AvgPoolGrad {
    fn name(&self) -> &'static str {
        self.0.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.dims.input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::input_grad(&self.0.dims, self.0.divisor, dy))
    }
}

impl CustomOp1 for AvgPoolGrad {
    fn name(&self) -> &'static str {
        "avg_pool_input_grad"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(dy, layout)])
    }

    fn bwd(&self, dy: &Tensor, _: &Tensor, dx: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !dy.track_op() {
            return Ok(None);
        }
        dx.apply_op1(self.0.clone()).map(Some)
    }
}
