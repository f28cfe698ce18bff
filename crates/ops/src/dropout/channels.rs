//! Dropout of whole channels.

use super::{Mask, apply};
use crate::planes::split;
use crate::{Draw, Result};
use candle_core::Tensor;

/// Sets each channel of each sample to zero with probability `p` and scales the others so that the expectation stays.
///
/// Neighbours in a feature sequence are alike, so that dropping single elements takes little away; this drops whole ones.
///
/// # Formula
///
/// [`dropout`](crate::dropout)'s, with one draw for all of a channel: `e = (draw.first_sample + n)·C + c`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero. What is dropped is 0, whatever `x` was.
///
/// # Shapes
///
/// `[N, C, L]`, or `[C, L]`, of bf16, f16, f32 or f64 and any layout; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 − p)` where the channel was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`Overflow`](crate::Error::Overflow) (draws
/// beyond 64 bits) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks", CVPR 2015; the
/// semantics are those of `torch.nn.functional.dropout1d`, save that a dropped NaN is 0.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, dropout1d};
///
/// let x = Tensor::ones((2, 3, 4), DType::F32, &Device::Cpu)?;
/// let y = dropout1d(&x, 0.5, Mode::train(42, 0, 0).draw().unwrap())?;
/// for channel in y.flatten_from(2)?.flatten_to(1)?.to_vec2::<f32>()? {
///     assert!(channel.iter().all(|&y| y == 0.) || channel.iter().all(|&y| y == 2.));
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout1d(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    channels::<1>("dropout1d", x, p, draw)
}

/// Sets each channel of each sample to zero with probability `p` and scales the others so that the expectation stays.
///
/// Neighbours in a feature map are alike, so that dropping single elements takes little away; this drops whole ones.
///
/// # Formula
///
/// [`dropout`](crate::dropout)'s, with one draw for all of a channel: `e = (draw.first_sample + n)·C + c`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero. What is dropped is 0, whatever `x` was.
///
/// # Shapes
///
/// `[N, C, H, W]`, or `[C, H, W]`, of bf16, f16, f32 or f64 and any layout; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 − p)` where the channel was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`Overflow`](crate::Error::Overflow) (draws
/// beyond 64 bits) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks", CVPR 2015; the
/// semantics are those of `torch.nn.functional.dropout2d`, save that a dropped NaN is 0.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, dropout2d};
///
/// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// let y = dropout2d(&x, 0.5, Mode::train(42, 0, 0).draw().unwrap())?;
/// for channel in y.flatten_from(2)?.flatten_to(1)?.to_vec2::<f32>()? {
///     assert!(channel.iter().all(|&y| y == 0.) || channel.iter().all(|&y| y == 2.));
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout2d(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    channels::<2>("dropout2d", x, p, draw)
}

/// Sets each channel of each sample to zero with probability `p` and scales the others so that the expectation stays.
///
/// Neighbours in a feature volume are alike, so that dropping single elements takes little away; this drops whole ones.
///
/// # Formula
///
/// [`dropout`](crate::dropout)'s, with one draw for all of a channel: `e = (draw.first_sample + n)·C + c`.
///
/// With `p = 0` the result is `x` itself, without a copy; with `p = 1` it is zero. What is dropped is 0, whatever `x` was.
///
/// # Shapes
///
/// `[N, C, D, H, W]`, or `[C, D, H, W]`, of bf16, f16, f32 or f64 and any layout; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 − p)` where the channel was kept, and 0 elsewhere. The mask is drawn again, never stored.
///
/// # Errors
///
/// [`Probability`](crate::Error::Probability), [`Rank`](crate::Error::Rank), [`Overflow`](crate::Error::Overflow) (draws
/// beyond 64 bits) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks", CVPR 2015; the
/// semantics are those of `torch.nn.functional.dropout3d`, save that a dropped NaN is 0.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{Mode, dropout3d};
///
/// let x = Tensor::ones((2, 3, 2, 4, 5), DType::F32, &Device::Cpu)?;
/// let y = dropout3d(&x, 0.5, Mode::train(42, 0, 0).draw().unwrap())?;
/// for channel in y.flatten_from(2)?.flatten_to(1)?.to_vec2::<f32>()? {
///     assert!(channel.iter().all(|&y| y == 0.) || channel.iter().all(|&y| y == 2.));
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout3d(x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    channels::<3>("dropout3d", x, p, draw)
}

fn channels<const D: usize>(op: &'static str, x: &Tensor, p: f64, draw: Draw) -> Result<Tensor> {
    let (lead, _) = split::<D>(op, "input", x.dims())?;
    apply(Mask::new(op, x.shape(), lead.len() - 1..lead.len(), p, draw)?, p, x)
}
