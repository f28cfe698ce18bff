//! Padding: planes with margins of a constant, or of their own elements.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::PadMode;

use crate::Result;
use crate::linear_map::Transpose;
use crate::operator::Apply;
use autograd::Pad;
use candle_core::Tensor;
use std::sync::Arc;

/// Margins at both ends of the last axis.
///
/// # Formula
///
/// `y[n, c, i] = x[n, c, i − before]` within the input. Outside it [`PadMode`] says what stands there: a constant, or with
/// `j = i − before` the element at `|j|` or `2(L − 1) − j` (reflect), at the nearest end (replicate), at `j mod L` (circular).
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, before + L + after]`, or `[C, L]` to `[C, before + L + after]`; `N` may be 0. `padding` is
/// (before, after). To crop, use `narrow`.
///
/// # Gradient
///
/// Each element of `x` gets the sum of `dy` where it was copied to. It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`PaddingTooLarge`](crate::Error::PaddingTooLarge) (reflect: at least the extent;
/// circular: more than the extent), [`NotPositive`](crate::Error::NotPositive) (an extent of 0, save for a constant),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.pad`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{PadMode, pad1d};
///
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// assert_eq!(pad1d(&x, (2, 1), PadMode::Reflect)?.to_vec2::<f32>()?, [[3., 2., 1., 2., 3., 2.]]);
/// assert_eq!(pad1d(&x, (2, 1), PadMode::Replicate)?.to_vec2::<f32>()?, [[1., 1., 1., 2., 3., 3.]]);
/// assert_eq!(pad1d(&x, (2, 1), PadMode::Circular)?.to_vec2::<f32>()?, [[2., 3., 1., 2., 3., 1.]]);
/// assert_eq!(pad1d(&x, (2, 1), PadMode::Constant(9.))?.to_vec2::<f32>()?, [[9., 9., 1., 2., 3., 9.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pad1d(x: &Tensor, padding: (usize, usize), mode: PadMode) -> Result<Tensor> {
    pad("pad1d", x, [padding], mode)
}

/// Margins around every plane.
///
/// # Formula
///
/// That of [`pad1d`] along the height and along the width.
///
/// # Shapes
///
/// `[N, C, H, W]` or `[C, H, W]`; each axis grows by its (before, after). The outermost axis comes first:
/// `[(top, bottom), (left, right)]`. PyTorch's list runs the other way: its `(1, 2, 3, 4)` is `[(3, 4), (1, 2)]` here.
///
/// # Gradient
///
/// Each element of `x` gets the sum of `dy` where it was copied to. It is differentiable itself.
///
/// # Errors
///
/// As [`pad1d`].
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.pad`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{PadMode, pad2d};
///
/// let x = Tensor::ones((2, 3, 5, 7), DType::F32, &Device::Cpu)?;
/// assert_eq!(pad2d(&x, [(0, 1), (3, 2)], PadMode::Constant(0.))?.dims(), [2, 3, 6, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pad2d(x: &Tensor, padding: [(usize, usize); 2], mode: PadMode) -> Result<Tensor> {
    pad("pad2d", x, padding, mode)
}

/// Margins around every volume.
///
/// # Formula
///
/// That of [`pad1d`] along the depth, the height and the width.
///
/// # Shapes
///
/// `[N, C, D, H, W]` or `[C, D, H, W]`; each axis grows by its (before, after). The outermost axis comes first:
/// `[(front, back), (top, bottom), (left, right)]`, where PyTorch's list begins with the innermost.
///
/// # Gradient
///
/// Each element of `x` gets the sum of `dy` where it was copied to. It is differentiable itself.
///
/// # Errors
///
/// As [`pad1d`].
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.pad`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{PadMode, pad3d};
///
/// let x = Tensor::ones((2, 3, 4, 5, 7), DType::F32, &Device::Cpu)?;
/// assert_eq!(pad3d(&x, [(0, 1), (2, 0), (3, 2)], PadMode::Replicate)?.dims(), [2, 3, 5, 7, 12]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pad3d(x: &Tensor, padding: [(usize, usize); 3], mode: PadMode) -> Result<Tensor> {
    pad("pad3d", x, padding, mode)
}

/// The padding of `op`.
pub(crate) fn pad<const D: usize>(
    op: &'static str,
    x: &Tensor,
    padding: [(usize, usize); D],
    mode: PadMode,
) -> Result<Tensor> {
    let dims = Arc::new(mode.dims(op, x.dims(), padding)?);
    let value = match mode {
        PadMode::Constant(value) => value,
        PadMode::Reflect | PadMode::Replicate | PadMode::Circular => 0.,
    };
    Ok(Pad { dims, value }.apply([x])?)
}

/// The transpose of [`pad`] of a tensor of `shape`.
pub(crate) fn pad_transpose<const D: usize>(
    op: &'static str,
    dy: &Tensor,
    shape: &[usize],
    padding: [(usize, usize); D],
    mode: PadMode,
) -> Result<Tensor> {
    Ok(Transpose(Arc::new(mode.dims(op, shape, padding)?)).apply([dy])?)
}
