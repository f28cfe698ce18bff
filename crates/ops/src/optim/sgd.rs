//! Stochastic gradient descent.

use super::inplace;
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
