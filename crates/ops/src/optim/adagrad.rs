//! Adagrad.

use super::inplace;
use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of Adagrad: see [`adagrad_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdagradStep {
    /// The learning rate.
    pub lr: f64,
    /// How fast the learning rate falls with the number of the step.
    pub lr_decay: f64,
    /// What keeps the denominator from zero, added outside of the root.
    pub eps: f64,
    /// The L2 penalty, added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
    /// The number of this step, counted from 1.
    pub step: u64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of Adagrad on `param` and its sum of squares, in place.
///
/// # Formula
/// With `g = grad_scale · grad + weight_decay · θ`: `s ← s + g²`, then `θ ← θ − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)`
/// at step t.
///
/// # Shapes
/// `param`, `grad` and `sum` (s) have one shape.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12, 2011, in
/// the form of `torch.optim.Adagrad`.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{AdagradStep, adagrad_step};
///
/// let param = Var::new(&[1f64, 2.], &Device::Cpu)?;
/// let (grad, sum) = (Tensor::new(&[3f64, -4.], &Device::Cpu)?, Var::zeros(2, DType::F64, &Device::Cpu)?);
/// let step = AdagradStep { lr: 0.5, lr_decay: 0., eps: 0., weight_decay: 0., step: 1, grad_scale: 1. };
/// adagrad_step(&param, &grad, &sum, &step)?;
/// assert_eq!(param.to_vec1::<f64>()?, [0.5, 2.5]);
/// assert_eq!(sum.to_vec1::<f64>()?, [9., 16.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adagrad_step(param: &Var, grad: &Tensor, sum: &Var, step: &AdagradStep) -> Result<()> {
    inplace::apply("adagrad_step", grad, [param, sum], step)
}
