//! The cross entropy as a candle operator.
//!
//! Each gradient is one pass over the logits. Where candle differentiates twice, their own derivatives are composed of
//! tracked operators, so that there are derivatives of every order.

use super::cpu::{self, Normaliser};
use super::second_order::Terms;
use super::spec::Loss;
use crate::Result;
use crate::graph::{saved, wanted};
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor};
use std::sync::{Arc, OnceLock};

type Output = candle_core::Result<(CpuStorage, Shape)>;
type Grads2 = candle_core::Result<(Option<Tensor>, Option<Tensor>)>;
type Grads3 = candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)>;

/// What forward and backward share.
struct Shared {
    loss: Loss,
    normalisers: OnceLock<Vec<Normaliser>>,
}

impl Shared {
    fn normalisers<T: Element>(&self, x: &[T]) -> &[Normaliser] {
        self.normalisers.get_or_init(|| cpu::normalisers(&self.loss, x))
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
        Self(Arc::new(Shared { loss, normalisers: OnceLock::new() }))
    }
}

impl Kernel<1> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.output_shape())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0.loss, x, None, self.0.normalisers(x)))
    }
}

impl Kernel<2> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.output_shape())
    }

    fn run<T: Element>(&self, [x, target]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.0.loss, x, Some(target), self.0.normalisers(x)))
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Output {
        storage::run::<1, _>(self, [(x, layout)])
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        saved(x)?.apply_op2(dy, LogitsGrad(self.0.clone())).map(Some)
    }
}

impl CustomOp2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, target: &CpuStorage, target_layout: &Layout) -> Output {
        storage::run::<2, _>(self, [(x, x_layout), (target, target_layout)])
    }

    fn bwd(&self, x: &Tensor, target: &Tensor, _y: &Tensor, dy: &Tensor) -> Grads2 {
        let dx = wanted(x, || saved(x)?.apply_op3(&saved(target)?, dy, LogitsGrad(self.0.clone())))?;
        let dtarget = wanted(target, || saved(x)?.apply_op2(dy, TargetGrad(self.0.clone())))?;
        Ok((dx, dtarget))
    }
}

impl Kernel<2> for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.logits.as_slice())
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::logits_grad(&self.0.loss, x, None, dy, self.0.normalisers(x)))
    }
}

impl Kernel<3> for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.logits.as_slice())
    }

    fn run<T: Element>(&self, [x, target, dy]: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::logits_grad(&self.0.loss, x, Some(target), dy, self.0.normalisers(x)))
    }
}

impl CustomOp2 for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, dy: &CpuStorage, dy_layout: &Layout) -> Output {
        storage::run::<2, _>(self, [(x, x_layout), (dy, dy_layout)])
    }

    fn bwd(&self, x: &Tensor, dy: &Tensor, _dx: &Tensor, ddx: &Tensor) -> Grads2 {
        let terms = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?;
        let [by_x, _, by_dy] = terms.of_logits_grad(&terms.shares(None)?, ddx)?;
        Ok((Some(by_x), Some(by_dy)))
    }
}

impl CustomOp3 for LogitsGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        target: &CpuStorage,
        target_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
    ) -> Output {
        storage::run::<3, _>(self, [(x, x_layout), (target, target_layout), (dy, dy_layout)])
    }

    fn bwd(&self, x: &Tensor, target: &Tensor, dy: &Tensor, _dx: &Tensor, ddx: &Tensor) -> Grads3 {
        let terms = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?;
        let [by_x, by_target, by_dy] = terms.of_logits_grad(&terms.shares(Some(&saved(target)?))?, ddx)?;
        Ok((Some(by_x), Some(by_target), Some(by_dy)))
    }
}

impl Kernel<2> for TargetGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_target_grad"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.loss.dims.logits.as_slice())
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::target_grad(&self.0.loss, x, dy, self.0.normalisers(x)))
    }
}

impl CustomOp2 for TargetGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_target_grad"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, dy: &CpuStorage, dy_layout: &Layout) -> Output {
        storage::run(self, [(x, x_layout), (dy, dy_layout)])
    }

    fn bwd(&self, x: &Tensor, dy: &Tensor, _dtarget: &Tensor, ddtarget: &Tensor) -> Grads2 {
        let [by_x, by_dy] = Terms::new(&self.0.loss, &saved(x)?, &saved(dy)?)?.of_target_grad(ddtarget)?;
        Ok((Some(by_x), Some(by_dy)))
    }
}
