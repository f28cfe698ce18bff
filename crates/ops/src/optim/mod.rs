//! Optimiser steps, each one pass in place over a parameter, its gradient and its state.
//!
//! They own nothing: parameters and states are candle's `Var`s of one shape, and the step's numbers come as a struct. The
//! names and the order of operations are PyTorch's. Work is elementwise, so results have the same bits at any number of
//! threads. Changing a parameter while a graph that read it still lives corrupts that graph's gradients: take the
//! gradients first, then step.

mod cpu;
mod inplace;
mod norm;

pub use norm::global_norm;

use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of stochastic gradient descent: see [`sgd_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The learning rate.
    pub lr: f64,
    /// How much of the former velocity stays.
    pub momentum: f64,
    /// How much of the gradient the velocity leaves out.
    pub dampening: f64,
    /// The L2 penalty, added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// Whether the velocity holds nothing yet, so that it becomes the gradient itself.
    pub first: bool,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// The numbers of one step of AdamW: see [`adamw_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// The learning rate.
    pub lr: f64,
    /// How much of the former first and second moment stays.
    pub betas: (f64, f64),
    /// What keeps the denominator from zero, added outside of the root.
    pub eps: f64,
    /// The decoupled weight decay.
    pub weight_decay: f64,
    /// The number of this step, counted from 1, for the correction of the moments' bias towards zero.
    pub step: u64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of stochastic gradient descent on `param`, in place.
///
/// # Formula
/// With `g = grad_scale · grad + weight_decay · θ` and, where there is a `velocity` v: `v ← momentum · v + (1 − dampening) ·
/// g` (`v ← g` on the first step), then `g ← v`, or `g + momentum · v` with Nesterov's look-ahead. Then `θ ← θ − lr · g`.
///
/// # Shapes
/// `param`, `grad` and `velocity` have one shape. `grad` may be strided or broadcast; the others are contiguous.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013, in the
/// form of `torch.optim.SGD`.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use taper_ops::optim::{SgdStep, sgd_step};
///
/// let param = Var::new(&[1f32, 2.], &Device::Cpu)?;
/// let grad = Tensor::new(&[10f32, -10.], &Device::Cpu)?;
/// let step = SgdStep {
///     lr: 0.1, momentum: 0., dampening: 0., weight_decay: 0., nesterov: false, first: true, grad_scale: 1.,
/// };
/// sgd_step(&param, &grad, None, &step)?;
/// assert_eq!(param.to_vec1::<f32>()?, [0., 3.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn sgd_step(param: &Var, grad: &Tensor, velocity: Option<&Var>, step: &SgdStep) -> Result<()> {
    match velocity {
        Some(velocity) => inplace::apply("sgd_step", grad, [param, velocity], step),
        None => inplace::apply("sgd_step", grad, [param], step),
    }
}

/// One step of AdamW on `param` and its moments, in place.
///
/// # Formula
/// With `g = grad_scale · grad`: `θ ← (1 − lr · weight_decay) · θ`, `m ← m + (1 − β₁)(g − m)`, `v ← β₂ v + (1 − β₂) g²`, then
/// `θ ← θ − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)` at step t.
///
/// # Shapes
/// `param`, `grad`, `exp_avg` (m) and `exp_avg_sq` (v) have one shape. `grad` may be strided or broadcast; the others are
/// contiguous.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019, in the form of `torch.optim.AdamW`.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{AdamWStep, adamw_step};
///
/// let param = Var::new(&[1f64, 2.], &Device::Cpu)?;
/// let grad = Tensor::new(&[1e-3f64, -1e3], &Device::Cpu)?;
/// let exp_avg = Var::zeros(2, DType::F64, &Device::Cpu)?;
/// let exp_avg_sq = Var::zeros(2, DType::F64, &Device::Cpu)?;
/// let step = AdamWStep { lr: 0.5, betas: (0.9, 0.999), eps: 0., weight_decay: 0., step: 1, grad_scale: 1. };
/// adamw_step(&param, &grad, &exp_avg, &exp_avg_sq, &step)?;
/// // The first step is as long as the learning rate, whatever the gradient's size.
/// let moved = param.to_vec1::<f64>()?;
/// assert!((moved[0] - 0.5).abs() < 1e-12 && (moved[1] - 2.5).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adamw_step(param: &Var, grad: &Tensor, exp_avg: &Var, exp_avg_sq: &Var, step: &AdamWStep) -> Result<()> {
    inplace::apply("adamw_step", grad, [param, exp_avg, exp_avg_sq], step)
}
