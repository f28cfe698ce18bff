//! The cross entropy as a candle operator.
//!
//! Each gradient is one pass over the logits. Where candle differentiates twice, their own derivatives are composed of
//! tracked operators, so that there are derivatives of every order.

use super::cpu::{self, Normaliser};
use super::cuda;
use super::second_order::Terms;
use super::spec::Loss;
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// What forward and backward share.
struct Shared {
    loss: Loss,
    normalisers: OnceLock<Vec<Normaliser>>,
    on_device: OnceLock<cuda::Normalisers>,
}

impl Shared {
    fn normalisers<T: Element>(&self, x: &[T]) -> &[Normaliser] {
        self.normalisers.get_or_init(|| cpu::normalisers(&self.loss, x))
    }

    fn on_device(&self, gpu: &Gpu, x: View<'_>) -> Result<&cuda::Normalisers> {
        if let Some(normalisers) = self.on_device.get() {
            return Ok(normalisers);
        }
        let normalisers = cuda::Normalisers::new(gpu, &self.loss, x)?;
        Ok(self.on_device.get_or_init(|| normalisers))
    }
}

/// The loss from the logits and, with class probabilities, the target.
pub(super) struct CrossEntropy(Arc<Shared>);

/// dlogits from the logits, the target where it is a tensor, and dloss.
struct LogitsGrad(Arc<Shared>);

/// dtarget from the logits and dloss.
struct TargetGrad(Arc<Shared>);

impl CrossEntropy {
    pub(super) fn new(loss: Loss) -> Self {
        Self(Arc::new(Shared { loss, normalisers: OnceLock::new(), on_device: OnceLock::new() }))
    }
}

impl Operator<1> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.output_shape())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        cpu::forward(&self.0.loss, x, None, self.0.normalisers(x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::forward(gpu, &self.0.loss, x, None, self.0.on_device(gpu, x)?)
    }

    fn backward(&self, [x]: [&Tensor; 1], _y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(LogitsGrad(self.0.clone()).apply([&saved(x)?, dy])?)])
    }
}

impl Operator<2> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.output_shape())
    }

    fn run<T: Element>(&self, [x, target]: [&[T]; 2]) -> Result<Vec<T>> {
        cpu::forward(&self.0.loss, x, Some(target), self.0.normalisers(x))
    }

    fn cuda(&self, gpu: &Gpu, [x, target]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::forward(gpu, &self.0.loss, x, Some(target), self.0.on_device(gpu, x)?)
    }

    fn backward(&self, [x, target]: [&Tensor; 2], _y: &Tensor, dy: &Tensor) -> Grads<2> {
        let dx = wanted(x, || LogitsGrad(self.0.clone()).apply([&saved(x)?, &saved(target)?, dy]))?;
        let dtarget = wanted(target, || TargetGrad(self.0.clone()).apply([&saved(x)?, dy]))?;
        Ok([dx, dtarget])
    }
}

impl Operator<2> for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.shape.as_slice())
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        cpu::logits_grad(&self.0.loss, x, None, dy, self.0.normalisers(x))
    }

    fn cuda(&self, gpu: &Gpu, [x, dy]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::logits_grad(gpu, &self.0.loss, [x, dy], None, self.0.on_device(gpu, x)?)
    }

    fn backward(&self, [x, dy]: [&Tensor; 2], _dx: &Tensor, ddx: &Tensor) -> Grads<2> {
        let terms = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?;
        let [by_x, _, by_dy] = terms.of_logits_grad(&terms.shares(None)?, ddx)?;
        Ok([Some(by_x), Some(by_dy)])
    }
}

impl Operator<3> for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.shape.as_slice())
    }

    fn run<T: Element>(&self, [x, target, dy]: [&[T]; 3]) -> Result<Vec<T>> {
        cpu::logits_grad(&self.0.loss, x, Some(target), dy, self.0.normalisers(x))
    }

    fn cuda(&self, gpu: &Gpu, [x, target, dy]: [View<'_>; 3]) -> Result<Buffer> {
        cuda::logits_grad(gpu, &self.0.loss, [x, dy], Some(target), self.0.on_device(gpu, x)?)
    }

    fn backward(&self, [x, target, dy]: [&Tensor; 3], _dx: &Tensor, ddx: &Tensor) -> Grads<3> {
        let terms = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?;
        let [by_x, by_target, by_dy] = terms.of_logits_grad(&terms.shares(Some(&saved(target)?))?, ddx)?;
        Ok([Some(by_x), Some(by_target), Some(by_dy)])
    }
}

impl Operator<2> for TargetGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_target_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.shape.as_slice())
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::target_grad(&self.0.loss, x, dy, self.0.normalisers(x)))
    }

    fn cuda(&self, gpu: &Gpu, [x, dy]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::target_grad(gpu, &self.0.loss, [x, dy], self.0.on_device(gpu, x)?)
    }

    fn backward(&self, [x, dy]: [&Tensor; 2], _dtarget: &Tensor, ddtarget: &Tensor) -> Grads<2> {
        let [by_x, by_dy] = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?.of_target_grad(ddtarget)?;
        Ok([Some(by_x), Some(by_dy)])
    }
}
