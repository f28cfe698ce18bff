//! The cross entropy as a candle operator.
//!
//! A first-order gradient is one pass over the logits, outside the graph. Where candle differentiates twice, the gradient
//! is composed of tracked operators instead, so that it has derivatives of every order.

use super::cpu::{self, Normaliser};
use super::spec::{Loss, Reduction, Target};
use crate::Result;
use crate::graph::second_order;
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor};
use std::sync::{Arc, OnceLock};

type Output = candle_core::Result<(CpuStorage, Shape)>;

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
        if second_order()? {
            return tracked(&self.0.loss, x, None, dy).map(|(dx, _)| Some(dx));
        }
        x.apply_op2_no_bwd(dy, &LogitsGrad(self.0.clone())).map(Some)
    }
}

impl CustomOp2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, target: &CpuStorage, target_layout: &Layout) -> Output {
        storage::run::<2, _>(self, [(x, x_layout), (target, target_layout)])
    }

    fn bwd(
        &self,
        x: &Tensor,
        target: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        if second_order()? {
            return tracked(&self.0.loss, x, Some(target), dy).map(|(dx, dtarget)| (Some(dx), Some(dtarget)));
        }
        let dx = || x.apply_op3_no_bwd(target, dy, &LogitsGrad(self.0.clone()));
        let dtarget = || x.apply_op2_no_bwd(dy, &TargetGrad(self.0.clone()));
        Ok((x.track_op().then(dx).transpose()?, target.track_op().then(dtarget).transpose()?))
    }
}

/// dlogits and dtarget as functions of the logits, the target and dloss that candle can differentiate.
fn tracked(loss: &Loss, x: &Tensor, target: Option<&Tensor>, dy: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let axis = loss.dims.class_axis;
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(axis)?)?;
    let log_p = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(axis)?.log()?)?;
    let constant = |values: Vec<f64>, shape: &[usize]| Tensor::from_vec(values, shape, x.device())?.to_dtype(x.dtype());
    let mut weight_shape = vec![1; loss.dims.logits.len()];
    weight_shape[axis] = loss.dims.classes;
    let weight = constant((0..loss.dims.classes).map(|class| loss.class_weight(class)).collect(), &weight_shape)?;
    let smoothing = loss.label_smoothing;
    let target = match target {
        Some(target) => target.clone(),
        None => constant(one_hot(loss), &loss.dims.logits)?,
    };
    let shares = target.affine(1. - smoothing, smoothing / loss.dims.classes as f64)?.broadcast_mul(&weight)?;
    let mut dy = (dy / loss.divisor)?;
    if loss.reduction == Reduction::None {
        dy = dy.unsqueeze(axis)?;
    }
    if let Target::Classes(_) = loss.target {
        // Ignored positions: the share of label smoothing goes too.
        let counted = target.sum_keepdim(axis)?;
        dy = dy.broadcast_mul(&counted)?;
    }
    let dx = log_p.exp()?.broadcast_mul(&shares.sum_keepdim(axis)?)?.sub(&shares)?.broadcast_mul(&dy)?;
    let dtarget = log_p.broadcast_mul(&weight)?.broadcast_mul(&(dy * (smoothing - 1.))?)?;
    Ok((dx, dtarget))
}

/// Class indices as a tensor of the logits' shape: 1 at the class, 0 elsewhere and at ignored positions.
fn one_hot(loss: &Loss) -> Vec<f64> {
    let (classes, inner) = (loss.dims.classes, loss.dims.inner);
    let mut out = vec![0.; loss.dims.positions() * classes];
    if let Target::Classes(targets) = &loss.target {
        for (position, target) in targets.iter().enumerate() {
            if let Some(class) = target {
                out[(position / inner * classes + class) * inner + position % inner] = 1.;
            }
        }
    }
    out
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
}
