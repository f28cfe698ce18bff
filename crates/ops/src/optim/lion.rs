//! Lion.

use super::inplace;
use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of Lion: see [`lion_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionStep {
    /// The learning rate, which is how far each element moves.
    pub lr: f64,
    /// How much of the momentum the step takes, and how much of it stays.
    pub betas: (f64, f64),
    /// The decoupled weight decay.
    pub weight_decay: f64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of Lion on `param` and its momentum, in place.
///
/// # Formula
/// With `g = grad_scale · grad`: `c = β₁ m + (1 − β₁) g`, `θ ← θ − lr · (sign(c) + weight_decay · θ)`, then
/// `m ← β₂ m + (1 − β₂) g`. The sign of zero is zero, and that of NaN is NaN.
///
/// # Shapes
/// `param`, `grad` and `exp_avg` (m) have one shape.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{LionStep, lion_step};
///
/// let param = Var::new(&[1f64, 2., 3.], &Device::Cpu)?;
/// let (grad, exp_avg) = (Tensor::new(&[1e-3f64, -1e3, 0.], &Device::Cpu)?, Var::zeros(3, DType::F64, &Device::Cpu)?);
/// lion_step(&param, &grad, &exp_avg, &LionStep { lr: 0.5, betas: (0.9, 0.99), weight_decay: 0., grad_scale: 1. })?;
/// assert_eq!(param.to_vec1::<f64>()?, [0.5, 2.5, 3.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lion_step(param: &Var, grad: &Tensor, exp_avg: &Var, step: &LionStep) -> Result<()> {
    inplace::apply("lion_step", grad, [param, exp_avg], step)
}
