//! Resampling of planes to other extents.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::{InterpolateMode, Resize};

use crate::{Result, linear_map};
use candle_core::Tensor;

/// Resampling along the last axis.
///
/// # Formula
///
/// `y[n, c, i] = Σ over j of w(i, j) · x[n, c, j]`. With `r = L / L'`, or `1 / factor` where a factor is given, and the
/// position `p = r·(i + ½) − ½`, or `i·(L − 1)/(L' − 1)` with `align_corners`:
///
/// | mode | `w(i, j)` |
/// |---|---|
/// | nearest | 1 at `j = ⌊r·i⌋` |
/// | nearest-exact | 1 at `j = ⌊r·(i + ½)⌋` |
/// | linear | `1 − \|p − j\|` at the two `j` around `p`, which is at least 0 |
/// | bicubic | cubic convolution of `\|p − j\|` with a = −3/4 at the four `j` around `p` |
///
/// A `j` beyond the end stands for the outermost element. Nearest leaves a factor aside where the extent stays or doubles,
/// linear where it stays.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`; `N` may be 0. `size` gives `L'` or a factor: see [`Resize`].
///
/// # Gradient
///
/// `dx[n, c, j] = Σ over i of w(i, j) · dy[n, c, i]`. It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input or output),
/// [`Value`](crate::Error::Value) (a factor), [`BicubicAxes`](crate::Error::BicubicAxes),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.interpolate` in float64: its float32 coordinates may take a neighbour
/// where `r·i` is a whole number. What nearest makes of a factor is the reference's over two axes; over one and three its
/// forward does not leave the factor aside but its gradient does. Its mode `area` is
/// [`adaptive_avg_pool1d`](crate::adaptive_avg_pool1d).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{InterpolateMode, interpolate1d};
///
/// let x = Tensor::new(&[[1f32, 2., 4.]], &Device::Cpu)?;
/// let y = interpolate1d(&x, 2., InterpolateMode::Nearest)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[1., 1., 2., 2., 4., 4.]]);
/// let y = interpolate1d(&x, [5], InterpolateMode::Linear { align_corners: true })?;
/// assert_eq!(y.to_vec2::<f32>()?, [[1., 1.5, 2., 3., 4.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn interpolate1d(x: &Tensor, size: impl Into<Resize<1>>, mode: InterpolateMode) -> Result<Tensor> {
    interpolate("interpolate1d", x, size.into(), mode)
}

/// Resampling of every plane.
///
/// # Formula
///
/// That of [`interpolate1d`] along the height and along the width: the weights multiply.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`; `N` may be 0. `size` gives the extents or factors:
/// see [`Resize`].
///
/// # Gradient
///
/// `dx` is the sum of `dy` over the output positions that an element has a part in, by its weights. It is differentiable
/// itself.
///
/// # Errors
///
/// As [`interpolate1d`], but that bicubic interpolation is at home here.
///
/// # Source
///
/// Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29, 1981; otherwise as
/// [`interpolate1d`].
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{InterpolateMode, interpolate2d};
///
/// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// let y = interpolate2d(&x, [2., 1.5], InterpolateMode::Bicubic { align_corners: false })?;
/// assert_eq!(y.dims(), [2, 3, 8, 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn interpolate2d(x: &Tensor, size: impl Into<Resize<2>>, mode: InterpolateMode) -> Result<Tensor> {
    interpolate("interpolate2d", x, size.into(), mode)
}

/// Resampling of every volume.
///
/// # Formula
///
/// That of [`interpolate1d`] along the depth, the height and the width: the weights multiply.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`; `N` may be 0. `size` gives the extents
/// or factors: see [`Resize`].
///
/// # Gradient
///
/// `dx` is the sum of `dy` over the output positions that an element has a part in, by its weights. It is differentiable
/// itself.
///
/// # Errors
///
/// As [`interpolate1d`].
///
/// # Source
///
/// As [`interpolate1d`].
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_ops::{InterpolateMode, interpolate3d};
///
/// let x = Tensor::ones((2, 3, 4, 5, 6), DType::F32, &Device::Cpu)?;
/// let y = interpolate3d(&x, [8, 3, 9], InterpolateMode::Linear { align_corners: false })?;
/// assert_eq!(y.dims(), [2, 3, 8, 3, 9]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn interpolate3d(x: &Tensor, size: impl Into<Resize<3>>, mode: InterpolateMode) -> Result<Tensor> {
    interpolate("interpolate3d", x, size.into(), mode)
}

fn interpolate<const D: usize>(op: &'static str, x: &Tensor, size: Resize<D>, mode: InterpolateMode) -> Result<Tensor> {
    linear_map::apply(size.dims(op, x.dims(), mode)?, x)
}
