//! The losses that compare two tensors element by element, each fused with its reduction and its gradient.

mod cpu;
mod cuda;
mod spec;

pub use spec::BinaryCrossEntropySpec;

use crate::elementwise::Zip;
use crate::error::expect;
use crate::{Reduction, Result};
use candle_core::Tensor;
use cpu::{Abs, BinaryCrossEntropy, Difference, KlDiv, KlDivOfLogs, Rounded, Square};

/// The squared error.
///
/// # Formula
///
/// `loss = (x − target)²`. [`Reduction`] says what becomes of the losses.
///
/// # Shapes
///
/// `x` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a scalar.
///
/// # Gradient
///
/// `dx = dloss · 2(x − target)`, `dtarget = −dx`.
///
/// # Errors
///
/// Shapes that differ (nothing is broadcast); dtypes that differ or are not bf16, f16, f32 or f64. A mean over
/// nothing has no value and is refused; the reference gives NaN.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.mse_loss`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{Reduction, mse_loss};
///
/// let x = Tensor::new(&[1f32, 2.], &Device::Cpu)?;
/// let target = Tensor::new(&[3f32, -1.], &Device::Cpu)?;
/// assert_eq!(mse_loss(&x, &target, Reduction::Mean)?.to_scalar::<f32>()?, 6.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn mse_loss(x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let divisor = spec::divisor("mse_loss", x, target, reduction)?;
    Zip::of(Difference(Square), x, target, divisor)
}

/// The absolute error.
///
/// # Formula
///
/// `loss = |x − target|`. [`Reduction`] says what becomes of the losses.
///
/// # Shapes
///
/// `x` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a scalar.
///
/// # Gradient
///
/// `dx = dloss · sign(x − target)`, 0 where they are equal; `dtarget = −dx`.
///
/// # Errors
///
/// Shapes that differ (nothing is broadcast); dtypes that differ or are not bf16, f16, f32 or f64. A mean over
/// nothing has no value and is refused; the reference gives NaN.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.l1_loss`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{Reduction, l1_loss};
///
/// let x = Tensor::new(&[1f32, 2.], &Device::Cpu)?;
/// let target = Tensor::new(&[3f32, -1.], &Device::Cpu)?;
/// assert_eq!(l1_loss(&x, &target, Reduction::Mean)?.to_scalar::<f32>()?, 2.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn l1_loss(x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let divisor = spec::divisor("l1_loss", x, target, reduction)?;
    Zip::of(Difference(Abs { name: "l1_loss" }), x, target, divisor)
}

/// The absolute error, rounded where it is small.
///
/// # Formula
///
/// With `d = x − target`, `loss = d² / (2 · beta)` where `|d| < beta`, else `|d| − beta / 2`; with a beta of 0 it is
/// [`l1_loss`]. [`Reduction`] says what becomes of the losses.
///
/// # Shapes
///
/// `x` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a scalar.
///
/// # Gradient
///
/// `dx = dloss · d / beta`, held between −dloss and dloss; `dtarget = −dx`.
///
/// # Errors
///
/// Shapes that differ (nothing is broadcast), a beta that is negative or not finite; dtypes that differ or are not
/// bf16, f16, f32 or f64. A mean over nothing has no value and is refused; the reference gives NaN.
///
/// # Source
///
/// Girshick, "Fast R-CNN", ICCV 2015; the semantics are those of `torch.nn.functional.smooth_l1_loss`, whose default
/// beta is 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{Reduction, smooth_l1_loss};
///
/// let x = Tensor::new(&[1f32, 2.], &Device::Cpu)?;
/// let target = Tensor::new(&[2f32, -1.], &Device::Cpu)?;
/// assert_eq!(smooth_l1_loss(&x, &target, 2., Reduction::Sum)?.to_scalar::<f32>()?, 2.25);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn smooth_l1_loss(x: &Tensor, target: &Tensor, beta: f64, reduction: Reduction) -> Result<Tensor> {
    let name = "smooth_l1_loss";
    let divisor = spec::divisor(name, x, target, reduction)?;
    expect(name, "beta", "finite and not negative", beta, beta.is_finite() && beta >= 0.)?;
    if beta == 0. {
        return Zip::of(Difference(Abs { name }), x, target, divisor);
    }
    Zip::of(Difference(Rounded { name, width: beta, height: 1. }), x, target, divisor)
}

/// The squared error where it is small, the absolute one where it is large.
///
/// # Formula
///
/// With `d = x − target`, `loss = d² / 2` where `|d| < delta`, else `delta · (|d| − delta / 2)`: `delta` times
/// [`smooth_l1_loss`]. [`Reduction`] says what becomes of the losses.
///
/// # Shapes
///
/// `x` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a scalar.
///
/// # Gradient
///
/// `dx = dloss · d`, with `d` held between −delta and delta; `dtarget = −dx`.
///
/// # Errors
///
/// Shapes that differ (nothing is broadcast), a delta that is not positive or not finite; dtypes that differ or are
/// not bf16, f16, f32 or f64. A mean over nothing has no value and is refused; the reference gives NaN.
///
/// # Source
///
/// Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964; the semantics are
/// those of `torch.nn.functional.huber_loss`, whose default delta is 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{Reduction, huber_loss};
///
/// let x = Tensor::new(&[1f32, 2.], &Device::Cpu)?;
/// let target = Tensor::new(&[2f32, -1.], &Device::Cpu)?;
/// assert_eq!(huber_loss(&x, &target, 2., Reduction::Sum)?.to_scalar::<f32>()?, 4.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn huber_loss(x: &Tensor, target: &Tensor, delta: f64, reduction: Reduction) -> Result<Tensor> {
    let name = "huber_loss";
    let divisor = spec::divisor(name, x, target, reduction)?;
    expect(name, "delta", "finite and positive", delta, delta.is_finite() && delta > 0.)?;
    Zip::of(Difference(Rounded { name, width: delta, height: delta }), x, target, divisor)
}

/// The cross entropy between a probability, given by its logit, and a target in [0, 1].
///
/// # Formula
///
/// `loss = −weight · (pos_weight · target · log σ(logits) + (1 − target) · log σ(−logits))`, where a term whose
/// weight is 0 is 0 even at an infinite logit (the reference gives NaN). [`Reduction`] says what becomes of the
/// losses. No logit overflows, and small losses keep their digits.
///
/// # Shapes
///
/// `logits` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a
/// scalar.
///
/// # Gradient
///
/// `dlogits = dloss · weight · ((1 − target) · σ(logits) − pos_weight · target · σ(−logits))`, `dtarget = dloss ·
/// weight · (log σ(−logits) − pos_weight · log σ(logits))`; the weights are constants.
///
/// # Errors
///
/// Shapes that differ (only the weights are broadcast); weights that do not broadcast to the logits; dtypes that
/// differ or are not bf16, f16, f32 or f64. A mean over nothing has no value and is refused; the reference gives
/// NaN.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.binary_cross_entropy_with_logits`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{BinaryCrossEntropySpec, binary_cross_entropy_with_logits};
///
/// let logits = Tensor::new(&[0f32, 1e4, -1e4], &Device::Cpu)?;
/// let target = Tensor::new(&[1f32, 1., 0.], &Device::Cpu)?;
/// let loss = binary_cross_entropy_with_logits(&logits, &target, &BinaryCrossEntropySpec::default())?;
/// assert!((loss.to_scalar::<f32>()? - 2f32.ln() / 3.).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn binary_cross_entropy_with_logits(
    logits: &Tensor,
    target: &Tensor,
    spec: &BinaryCrossEntropySpec,
) -> Result<Tensor> {
    let name = "binary_cross_entropy_with_logits";
    let divisor = spec::divisor(name, logits, target, spec.reduction)?;
    let weight = spec::weights(name, "weight", logits, spec.weight.as_ref())?;
    let pos_weight = spec::weights(name, "pos_weight", logits, spec.pos_weight.as_ref())?;
    Zip::of(BinaryCrossEntropy { weight, pos_weight }, logits, target, divisor)
}

/// The Kullback–Leibler divergence of `x`, a tensor of log-probabilities, from `target`, of probabilities or their
/// logarithms.
///
/// # Formula
///
/// `loss = target · (log target − x)`, and 0 where the target is; with `log_target`, `loss = exp(target) · (target −
/// x)`, and 0 where the target is −∞ (the reference gives NaN). [`Reduction`] says what becomes of the losses. Only
/// [`Reduction::BatchMean`] gives the divergence of distributions, averaged over the samples.
///
/// # Shapes
///
/// `x` and `target`: any shape, the same for both. The result: that shape with [`Reduction::None`], else a scalar.
///
/// # Gradient
///
/// `dx = −dloss · target`, `dtarget = dloss · (log target + 1 − x)`; with `log_target`, `dx = −dloss · exp(target)`,
/// `dtarget = dloss · exp(target) · (target − x + 1)`.
///
/// # Errors
///
/// Shapes that differ (nothing is broadcast); dtypes that differ or are not bf16, f16, f32 or f64. A mean over
/// nothing has no value and is refused; the reference gives NaN.
///
/// # Source
///
/// Kullback and Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951; the semantics
/// are those of `torch.nn.functional.kl_div`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{Reduction, kl_div};
///
/// let x = Tensor::new(&[[0.5f32, 0.5]], &Device::Cpu)?.log()?;
/// let target = Tensor::new(&[[1f32, 0.]], &Device::Cpu)?;
/// let divergence = kl_div(&x, &target, false, Reduction::BatchMean)?;
/// assert!((divergence.to_scalar::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn kl_div(x: &Tensor, target: &Tensor, log_target: bool, reduction: Reduction) -> Result<Tensor> {
    let divisor = spec::divisor("kl_div", x, target, reduction)?;
    if log_target { Zip::of(KlDivOfLogs, x, target, divisor) } else { Zip::of(KlDiv, x, target, divisor) }
}
