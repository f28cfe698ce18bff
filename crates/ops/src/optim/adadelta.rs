//! Adadelta.

use super::inplace;
use crate::Result;
use candle_core::{Tensor, Var};

/// The numbers of one step of Adadelta: see [`adadelta_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdadeltaStep {
    /// The learning rate, which multiplies a step that has the parameter's own scale.
    pub lr: f64,
    /// How much of the former averages stays.
    pub rho: f64,
    /// What keeps both roots from zero, added inside of them.
    pub eps: f64,
    /// The L2 penalty, added to the gradient as `weight_decay · θ`.
    pub weight_decay: f64,
    /// What the gradient is multiplied with first, for clipping.
    pub grad_scale: f64,
}

/// One step of Adadelta on `param` and its averages, in place.
///
/// # Formula
/// With `g = grad_scale · grad + weight_decay · θ`: `v ← rho · v + (1 − rho) g²`, `u = √(d + eps) / √(v + eps) · g`,
/// `d ← rho · d + (1 − rho) u²`, then `θ ← θ − lr · u`.
///
/// # Shapes
/// `param`, `grad`, `square_avg` (v) and `acc_delta` (d) have one shape.
///
/// # Errors
/// When shapes or dtypes differ, the dtype is neither f32 nor f64, or two of the tensors share their storage.
///
/// # Source
/// Zeiler, "ADADELTA: an adaptive learning rate method", 2012, in the form of `torch.optim.Adadelta`.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use taper_ops::optim::{AdadeltaStep, adadelta_step};
///
/// let param = Var::new(&[1f64, 2.], &Device::Cpu)?;
/// let grad = Tensor::new(&[3f64, -4.], &Device::Cpu)?;
/// let [square_avg, acc_delta] = [Var::zeros(2, DType::F64, &Device::Cpu)?, Var::zeros(2, DType::F64, &Device::Cpu)?];
/// let step = AdadeltaStep { lr: 1., rho: 0.75, eps: 1e-12, weight_decay: 0., grad_scale: 1. };
/// adadelta_step(&param, &grad, &square_avg, &acc_delta, &step)?;
/// // The first step is √eps / √(1 − rho) long.
/// assert!((param.to_vec1::<f64>()?[0] - (1. - 2e-6)).abs() < 1e-9);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adadelta_step(param: &Var, grad: &Tensor, square_avg: &Var, acc_delta: &Var, step: &AdadeltaStep) -> Result<()> {
    inplace::apply("adadelta_step", grad, [param, square_avg, acc_delta], step)
}
