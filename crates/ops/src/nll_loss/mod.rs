//! The negative log-likelihood of classes.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::NllLossSpec;

use crate::Result;
use crate::operator::Apply;
use autograd::NllLoss;
use candle_core::Tensor;
use spec::Loss;
use std::sync::Arc;

/// The negative log-likelihood of `target`, from log-probabilities.
///
/// After [`log_softmax`](crate::log_softmax) it is [`cross_entropy`](crate::cross_entropy), which does both in one pass.
///
/// # Formula
///
/// `loss[n] = −weight[target[n]] · log_probabilities[n, target[n]]`, and 0 where `target[n]` is `ignore_index` or its weight
/// is 0. [`Reduction`](crate::Reduction) says what becomes of the losses.
///
/// # Shapes
///
/// `log_probabilities`: `[N, C]`, `[N, C, d₁, …]` or unbatched `[C]`; `target`: that shape without `C` (u8, u32, i64). The
/// result: the shape of the target with [`Reduction::None`](crate::Reduction::None), else a scalar.
///
/// # Gradient
///
/// `dlog_probabilities[n, target[n]] = −weight[target[n]] · dloss[n]`, and 0 elsewhere.
///
/// # Errors
///
/// Shapes that do not belong together, a class index outside `0 … C − 1`, dtypes other than those named (bf16, f16, f32 and
/// f64 for the log-probabilities). A mean over nothing, where every target is ignored or there are no samples, has no value
/// and is refused; the reference gives NaN. On a CUDA device the classes are refused there too, for one wait for the device a
/// call.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.nll_loss`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{NllLossSpec, nll_loss};
///
/// let log_p = Tensor::new(&[[-0.5f32, -1.5, -2.], [-1., -3., -0.25]], &Device::Cpu)?;
/// let target = Tensor::new(&[1u32, 2], &Device::Cpu)?;
/// assert_eq!(nll_loss(&log_p, &target, &NllLossSpec::default())?.to_scalar::<f32>()?, 0.875);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn nll_loss(log_probabilities: &Tensor, target: &Tensor, spec: &NllLossSpec) -> Result<Tensor> {
    let loss = Loss::new("nll_loss", log_probabilities, target, spec)?;
    Ok(NllLoss(Arc::new(loss)).apply([log_probabilities])?)
}
