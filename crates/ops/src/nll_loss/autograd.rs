//! The negative log-likelihood as candle operators. It is linear, so the gradient of its gradient is itself.

use super::spec::Loss;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};
use std::sync::Arc;

/// The loss from the log-probabilities.
pub(super) struct NllLoss(pub(super) Arc<Loss>);

/// The log-probabilities' gradient from dloss.
struct NllLossGrad(Arc<Loss>);

impl Operator<1> for NllLoss {
    fn name(&self) -> &'static str {
        "nll_loss"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.output_shape())
    }

    fn run<T: Element>(&self, [log_p]: [&[T]; 1]) -> Result<Vec<T>> {
        cpu::forward(&self.0, log_p)
    }

    fn cuda(&self, gpu: &Gpu, [log_p]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::forward(gpu, &self.0, log_p)
    }

    fn backward(&self, [_log_p]: [&Tensor; 1], _y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(NllLossGrad(self.0.clone()).apply([dy])?)])
    }
}

impl Operator<1> for NllLossGrad {
    fn name(&self) -> &'static str {
        "nll_loss_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.dims.shape.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        cpu::grad(&self.0, dy)
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::grad(gpu, &self.0, dy)
    }

    fn backward(&self, [_dy]: [&Tensor; 1], _dx: &Tensor, v: &Tensor) -> Grads<1> {
        Ok([Some(NllLoss(self.0.clone()).apply([v])?)])
    }
}
