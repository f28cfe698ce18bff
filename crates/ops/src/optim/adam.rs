//! Adam and AdamW: one step, since only the place of the weight decay differs.

use super::inplace;
use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of Adam or AdamW: see [`adam_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub lr: f64,
    /// How much of the former first and second moment stays.
    pub betas: (f64, f64),
    /// What keeps the denominator from zero, added outside of the root.
    pub eps: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// Whether the weight decay shrinks the parameter itself (AdamW), rather than being an L2 penalty in the gradient (Adam).
    pub decoupled_weight_decay: bool,
    /// The number of this step, counted from 1, for the correction of the moments' bias towards zero.
    pub step: u64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of Adam or AdamW on `param` and its moments, in place; with a `max_exp_avg_sq` it is that of AMSGrad.
///
/// # Formula
/// With `g = grad_scale · grad + weight_decay · θ`, or where the decay is decoupled `g = grad_scale · grad` and
/// `θ ← (1 − lr · weight_decay) · θ`: `m ← m + (1 − β₁)(g − m)`, `v ← β₂ v + (1 − β₂) g²`, and with AMSGrad
/// `v̂ ← max(v̂, v)`, which then takes the place of v in `θ ← θ − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)` at step t.
///
/// # Shapes
/// `param`, `grad`, `exp_avg` (m), `exp_avg_sq` (v) and `max_exp_avg_sq` (v̂) have one shape.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015; Loshchilov, Hutter, "Decoupled weight decay
/// regularization", ICLR 2019; Reddi, Kale, Kumar, "On the convergence of Adam and beyond", ICLR 2018; in the form of
/// `torch.optim.Adam` and `torch.optim.AdamW`.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{AdamStep, adam_step};
///
/// let param = Var::new(&[1f64, 2.], &Device::Cpu)?;
/// let grad = Tensor::new(&[1e-3f64, -1e3], &Device::Cpu)?;
/// let exp_avg = Var::zeros(2, DType::F64, &Device::Cpu)?;
/// let exp_avg_sq = Var::zeros(2, DType::F64, &Device::Cpu)?;
/// let step = AdamStep {
///     lr: 0.5, betas: (0.9, 0.999), eps: 0., weight_decay: 0., decoupled_weight_decay: true, step: 1, grad_scale: 1.,
/// };
/// adam_step(&param, &grad, &exp_avg, &exp_avg_sq, None, &step)?;
/// // The first step is as long as the learning rate, whatever the gradient's size.
/// let moved = param.to_vec1::<f64>()?;
/// assert!((moved[0] - 0.5).abs() < 1e-12 && (moved[1] - 2.5).abs() < 1e-12);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adam_step(
    param: &Var,
    grad: &Tensor,
    exp_avg: &Var,
    exp_avg_sq: &Var,
    max_exp_avg_sq: Option<&Var>,
    step: &AdamStep,
) -> Result<()> {
    match max_exp_avg_sq {
        Some(max) => inplace::apply("adam_step", grad, [param, exp_avg, exp_avg_sq, max], step),
        None => inplace::apply("adam_step", grad, [param, exp_avg, exp_avg_sq], step),
    }
}
