//! Dropout for self-normalising networks.

use super::{Mask, apply};
use crate::{Draw, Error, Result};
use candle_core::Tensor;

/// Sets each element to what a SELU tends to with probability `p`, and keeps a mean of 0 and a variance of 1.
///
/// # Formula
///
/// `y = a·x + a·α·p` where `word(e) ≥ ⌊p · 2³²⌋`, and `−a·α·(1 − p)` elsewhere, whatever `x` was, with
/// `α = 1.7580993408473766` (SELU tends to −α) and `a = 1 / √((α²·p + 1)·(1 − p))`; `e` is the element's index in the whole batch, as for
/// [`dropout`](crate::dropout).
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero.
///
/// # Shapes
///
/// Any shape, whose first axis counts the samples; the result has the same.
///
/// # Gradient
///
/// `dx = a·dy` where `x` was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Overflow`](crate::Error::Overflow) (element indices beyond 64 bits) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017; the semantics are those of
/// `torch.nn.functional.alpha_dropout`, save that a dropped NaN is dropped.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, alpha_dropout};
///
/// let x = Tensor::zeros((100, 100), DType::F64, &Device::Cpu)?;
/// let y = alpha_dropout(&x, 0.25, Mode::train(42, 0, 0).draw().unwrap())?;
/// assert!(y.mean_all()?.to_scalar::<f64>()?.abs() < 0.05);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn alpha_dropout(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    let op = "alpha_dropout";
    apply(Mask::new(op, x.shape(), 1..x.rank(), p, draw)?.alpha(p), p, x)
}

/// [`alpha_dropout`] of whole channels: one draw for each channel of each sample.
///
/// # Formula
///
/// `y = a·x + a·α·p` where `word(e) ≥ ⌊p · 2³²⌋`, and `−a·α·(1 − p)` elsewhere, whatever `x` was, with
/// `α = 1.7580993408473766` (SELU tends to −α) and `a = 1 / √((α²·p + 1)·(1 − p))`; `e = (draw.first_sample + n)·C + c`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero.
///
/// # Shapes
///
/// `[N, C, …]` of any rank from 2 on, of bf16, f16, f32 or f64 and any layout; the result has the same.
///
/// # Gradient
///
/// `dx = a·dy` where `x` was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`Overflow`](crate::Error::Overflow) (draws
/// beyond 64 bits) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017; the semantics are those of
/// `torch.nn.functional.feature_alpha_dropout`, save that a dropped NaN is dropped.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, feature_alpha_dropout};
///
/// let x = Tensor::ones((2, 3, 4), DType::F32, &Device::Cpu)?;
/// let y = feature_alpha_dropout(&x, 0.5, Mode::train(42, 0, 0).draw().unwrap())?;
/// for channel in y.flatten_to(1)?.to_vec2::<f32>()? {
///     assert!(channel.iter().all(|&y| y == channel[0]));
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn feature_alpha_dropout(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    let op = "feature_alpha_dropout";
    if x.rank() < 2 {
        let shape = x.dims().to_vec();
        return Err(Error::Rank { op, argument: "input", expected: "at least 2", shape });
    }
    apply(Mask::new(op, x.shape(), 1..2, p, draw)?.alpha(p), p, x)
}
