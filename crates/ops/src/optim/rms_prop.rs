//! RMSprop, plain or centered, with momentum or without.

use super::{cpu, inplace};
use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of RMSprop: see [`rms_prop_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsPropStep {
    /// The learning rate.
    pub lr: f64,
    /// How much of the former averages stays.
    pub alpha: f64,
    /// What keeps the denominator from zero, added outside of the root.
    pub eps: f64,
    /// The L2 penalty, added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
    /// How much of the former step stays, where there is a `momentum_buffer`.
    pub momentum: f64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of RMSprop on `param` and its averages, in place; centered with a `grad_avg`, with momentum with a
/// `momentum_buffer`.
///
/// # Formula
/// With `g = grad_scale · grad + weight_decay · θ`: `v ← alpha · v + (1 − alpha) g²`; centered, `a ← a + (1 − alpha)(g − a)`
/// and `w = v − a²`, else `w = v`. Then `u = g / (√w + eps)`, with momentum `b ← momentum · b + u` in its place, and
/// `θ ← θ − lr · u`. Rounding can leave v − a² below zero, where PyTorch's step is NaN; it counts as zero here.
///
/// # Shapes
/// `param`, `grad`, `square_avg` (v), `grad_avg` (a) and `momentum_buffer` (b) have one shape.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Tieleman, Hinton, "Lecture 6.5: RMSProp", 2012; centered, Graves, "Generating sequences with recurrent neural networks",
/// 2013; in the form of `torch.optim.RMSprop`.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{RmsPropStep, rms_prop_step};
///
/// let param = Var::new(&[1f64, 2.], &Device::Cpu)?;
/// let grad = Tensor::new(&[1e-3f64, -1e3], &Device::Cpu)?;
/// let square_avg = Var::zeros(2, DType::F64, &Device::Cpu)?;
/// let step = RmsPropStep { lr: 0.1, alpha: 0.99, eps: 0., weight_decay: 0., momentum: 0., grad_scale: 1. };
/// rms_prop_step(&param, &grad, &square_avg, None, None, &step)?;
/// // The averages begin at zero and nothing corrects that: the first step is 1 / √(1 − alpha) learning rates long.
/// let moved = param.to_vec1::<f64>()?;
/// assert!((moved[0] - 0.).abs() < 1e-12 && (moved[1] - 3.).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn rms_prop_step(
    param: &Var,
    grad: &Tensor,
    square_avg: &Var,
    grad_avg: Option<&Var>,
    momentum_buffer: Option<&Var>,
    step: &RmsPropStep,
) -> Result<()> {
    let op = "rms_prop_step";
    match (grad_avg, momentum_buffer) {
        (None, None) => inplace::apply(op, grad, [param, square_avg], &cpu::RmsProp::<false, false>(step)),
        (Some(a), None) => inplace::apply(op, grad, [param, square_avg, a], &cpu::RmsProp::<true, false>(step)),
        (None, Some(b)) => inplace::apply(op, grad, [param, square_avg, b], &cpu::RmsProp::<false, true>(step)),
        (Some(a), Some(b)) => inplace::apply(op, grad, [param, square_avg, a, b], &cpu::RmsProp::<true, true>(step)),
    }
}
