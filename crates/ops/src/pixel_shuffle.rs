//! Channels to positions and back: a permutation of elements, composed of candle's own operators.

use crate::{Error, Result};
use candle_core::Tensor;

/// Each square of channels laid out as a square of positions.
///
/// # Formula
///
/// `y[…, c, h·r + i, w·r + j] = x[…, (c·r + i)·r + j, h, w]` with the factor `r`.
///
/// # Shapes
///
/// `[…, C·r², H, W]` to `[…, C, H·r, W·r]`, of any dtype.
///
/// # Gradient
///
/// [`pixel_unshuffle`] of `dy`. It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](Error::Rank) below 3, [`NotPositive`](Error::NotPositive) (the factor), [`Indivisible`](Error::Indivisible)
/// (the channels), [`Overflow`](Error::Overflow).
///
/// # Source
///
/// Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
/// network", arXiv:1609.05158; the semantics are those of `torch.nn.functional.pixel_shuffle`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::pixel_shuffle;
///
/// let x = Tensor::new(&[[[1f32, 2.]], [[3., 4.]], [[5., 6.]], [[7., 8.]]], &Device::Cpu)?;
/// assert_eq!(pixel_shuffle(&x, 2)?.squeeze(0)?.to_vec2::<f32>()?, [[1., 3., 2., 4.], [5., 7., 6., 8.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pixel_shuffle(x: &Tensor, upscale_factor: usize) -> Result<Tensor> {
    const OP: &str = "pixel_shuffle";
    let (r, (lead, [channels, height, width])) = (upscale_factor, split(OP, x)?);
    let square = square(OP, "upscale_factor", r)?;
    let c = divide(OP, "channels", channels, square)?;
    let overflow = || Error::Overflow { op: OP, what: "the output" };
    let h_out = height.checked_mul(r).ok_or_else(overflow)?;
    let w_out = width.checked_mul(r).ok_or_else(overflow)?;
    let squares = x.reshape([lead.iter().product(), c, r, r, height, width].as_slice())?;
    let y = squares.permute([0, 1, 4, 2, 5, 3])?;
    Ok(y.reshape([lead, &[c, h_out, w_out]].concat())?)
}

/// Each square of positions laid out as a square of channels: the inverse of [`pixel_shuffle`].
///
/// # Formula
///
/// `y[…, (c·r + i)·r + j, h, w] = x[…, c, h·r + i, w·r + j]` with the factor `r`.
///
/// # Shapes
///
/// `[…, C, H, W]` to `[…, C·r², H/r, W/r]`, of any dtype.
///
/// # Gradient
///
/// [`pixel_shuffle`] of `dy`. It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](Error::Rank) below 3, [`NotPositive`](Error::NotPositive) (the factor), [`Indivisible`](Error::Indivisible)
/// (height, width), [`Overflow`](Error::Overflow).
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.pixel_unshuffle`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::pixel_unshuffle;
///
/// let x = Tensor::new(&[[[1f32, 2., 3., 4.], [5., 6., 7., 8.]]], &Device::Cpu)?;
/// let y = pixel_unshuffle(&x, 2)?;
/// assert_eq!(y.squeeze(1)?.to_vec2::<f32>()?, [[1., 3.], [2., 4.], [5., 7.], [6., 8.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pixel_unshuffle(x: &Tensor, downscale_factor: usize) -> Result<Tensor> {
    const OP: &str = "pixel_unshuffle";
    let (r, (lead, [channels, height, width])) = (downscale_factor, split(OP, x)?);
    let square = square(OP, "downscale_factor", r)?;
    let (h, w) = (divide(OP, "height", height, r)?, divide(OP, "width", width, r)?);
    let c_out = channels.checked_mul(square).ok_or(Error::Overflow { op: OP, what: "the output" })?;
    let squares = x.reshape([lead.iter().product(), channels, h, r, w, r].as_slice())?;
    let y = squares.permute([0, 1, 3, 5, 2, 4])?;
    Ok(y.reshape([lead, &[c_out, h, w]].concat())?)
}

/// The axes of `x` in front, and channels, height and width.
fn split<'a>(op: &'static str, x: &'a Tensor) -> Result<(&'a [usize], [usize; 3])> {
    let (lead, last) = x.dims().split_last_chunk().ok_or_else(|| Error::Rank {
        op,
        argument: "input",
        expected: "3 or more",
        shape: x.dims().to_vec(),
    })?;
    Ok((lead, *last))
}

fn square(op: &'static str, argument: &'static str, factor: usize) -> Result<usize> {
    match factor.checked_mul(factor) {
        Some(0) => Err(Error::NotPositive { op, argument, value: vec![0] }),
        Some(square) => Ok(square),
        None => Err(Error::Overflow { op, what: "the square of the factor" }),
    }
}

fn divide(op: &'static str, argument: &'static str, value: usize, divisor: usize) -> Result<usize> {
    if value.is_multiple_of(divisor) {
        return Ok(value / divisor);
    }
    Err(Error::Indivisible { op, argument, value, divisor })
}
