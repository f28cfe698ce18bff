//! Adaptive pooling: the output's extents are given, and the windows follow from them.
//!
//! Window `i` of `o` along an axis of extent `L` is `[⌊i·L / o⌋, ⌈(i + 1)·L / o⌉)`: together the windows cover the axis, and
//! where `o` does not divide `L` neighbours overlap and differ in size.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub(crate) use cpu::plane_maxima;
pub use spec::OutputSize;

use crate::max_pool::{max_pool, max_pool_with_indices};
use crate::{Result, linear_map};
use candle_core::Tensor;

/// The means of windows that divide each channel's axis into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i] = mean over l in W(i) of x[n, c, l]`,
/// with the window `W(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)`.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the window's count, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_avg_pool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_avg_pool1d;
///
/// let x = Tensor::new(&[[1f32, 3., 5., 7., 9.]], &Device::Cpu)?;
/// // The windows share the middle one.
/// assert_eq!(adaptive_avg_pool1d(&x, 2)?.to_vec2::<f32>()?, [[3., 7.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_avg_pool1d(x: &Tensor, output_size: impl Into<OutputSize<1>>) -> Result<Tensor> {
    linear_map::apply(output_size.into().dims("adaptive_avg_pool1d", x.dims())?, x)
}

/// The means of windows that divide each channel's plane into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i, j] = mean over (h, w) in W_H(i) × W_W(j) of x[n, c, h, w]`,
/// with the windows `W_L(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)` along each axis `L`.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the window's count, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_avg_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_avg_pool2d;
///
/// let x = Tensor::new(&[[[1f32, 3., 5.], [3., 5., 7.]]], &Device::Cpu)?;
/// // Global average pooling.
/// assert_eq!(adaptive_avg_pool2d(&x, 1)?.to_vec3::<f32>()?, [[[4.]]]);
/// assert_eq!(adaptive_avg_pool2d(&x, [Some(1), None])?.to_vec3::<f32>()?, [[[2., 4., 6.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_avg_pool2d(x: &Tensor, output_size: impl Into<OutputSize<2>>) -> Result<Tensor> {
    linear_map::apply(output_size.into().dims("adaptive_avg_pool2d", x.dims())?, x)
}

/// The means of windows that divide each channel's volume into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i, j, k] = mean over (d, h, w) in W_D(i) × W_H(j) × W_W(k) of x[n, c, d, h, w]`,
/// with the windows `W_L(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)` along each axis `L`.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the window's count, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_avg_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_avg_pool3d;
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let y = adaptive_avg_pool3d(&x, [1, 1, 2])?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [6.5, 8.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_avg_pool3d(x: &Tensor, output_size: impl Into<OutputSize<3>>) -> Result<Tensor> {
    linear_map::apply(output_size.into().dims("adaptive_avg_pool3d", x.dims())?, x)
}

/// The largest elements of windows that divide each channel's axis into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i] = max over l in W(i) of x[n, c, l]`,
/// with the window `W(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)`. In row-major order the first of equal
/// elements is taken and the last NaN.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_max_pool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool1d;
///
/// let x = Tensor::new(&[[1f32, 3., 5., 7., 9.]], &Device::Cpu)?;
/// // The windows share the middle one.
/// assert_eq!(adaptive_max_pool1d(&x, 2)?.to_vec2::<f32>()?, [[5., 9.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool1d(x: &Tensor, output_size: impl Into<OutputSize<1>>) -> Result<Tensor> {
    max_pool(output_size.into().dims("adaptive_max_pool1d", x.dims())?.into(), x)
}

/// The largest elements of windows that divide each channel's plane into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i, j] = max over (h, w) in W_H(i) × W_W(j) of x[n, c, h, w]`,
/// with the windows `W_L(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)` along each axis `L`. In row-major order the first of equal
/// elements is taken and the last NaN.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_max_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool2d;
///
/// let x = Tensor::new(&[[[1f32, 8., 5.], [3., 5., 7.]]], &Device::Cpu)?;
/// assert_eq!(adaptive_max_pool2d(&x, [Some(1), None])?.to_vec3::<f32>()?, [[[3., 8., 7.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool2d(x: &Tensor, output_size: impl Into<OutputSize<2>>) -> Result<Tensor> {
    max_pool(output_size.into().dims("adaptive_max_pool2d", x.dims())?.into(), x)
}

/// The largest elements of windows that divide each channel's volume into `output_size` parts.
///
/// # Formula
///
/// `y[n, c, i, j, k] = max over (d, h, w) in W_D(i) × W_H(j) × W_W(k) of x[n, c, d, h, w]`,
/// with the windows `W_L(i) = [⌊i·L / L'⌋, ⌈(i + 1)·L / L'⌉)` along each axis `L`. In row-major order the first of equal
/// elements is taken and the last NaN.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of
/// float32 or float64 and any layout; `N` may be 0. The extents of the output are those of `output_size`: one number for
/// all axes, one for each, or `None` where the axis keeps its extent.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (an extent of the input's planes or of
/// `output_size`), [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", 2014; the
/// conventions are those of PyTorch's `adaptive_max_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool3d;
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let y = adaptive_max_pool3d(&x, [1, 1, 2])?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [13., 15.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool3d(x: &Tensor, output_size: impl Into<OutputSize<3>>) -> Result<Tensor> {
    max_pool(output_size.into().dims("adaptive_max_pool3d", x.dims())?.into(), x)
}

/// [`adaptive_max_pool1d`] and where each maximum lies: an I64 tensor of the output's shape, with
/// the position in its channel.
///
/// # Errors
///
/// Those of [`adaptive_max_pool1d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool1d_with_indices;
///
/// let x = Tensor::new(&[[1f32, 3., 9., 7., 5.]], &Device::Cpu)?;
/// let (y, indices) = adaptive_max_pool1d_with_indices(&x, 2)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[9., 9.]]);
/// assert_eq!(indices.to_vec2::<i64>()?, [[2, 2]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool1d_with_indices(x: &Tensor, output_size: impl Into<OutputSize<1>>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(output_size.into().dims("adaptive_max_pool1d_with_indices", x.dims())?.into(), x)
}

/// [`adaptive_max_pool2d`] and where each maximum lies: an I64 tensor of the output's shape, with
/// the flat index `h·W + w` in the plane of its channel.
///
/// # Errors
///
/// Those of [`adaptive_max_pool2d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool2d_with_indices;
///
/// let x = Tensor::new(&[[[1f32, 8., 5.], [3., 5., 7.]]], &Device::Cpu)?;
/// let (_, indices) = adaptive_max_pool2d_with_indices(&x, [Some(1), None])?;
/// assert_eq!(indices.to_vec3::<i64>()?, [[[3, 1, 5]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool2d_with_indices(x: &Tensor, output_size: impl Into<OutputSize<2>>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(output_size.into().dims("adaptive_max_pool2d_with_indices", x.dims())?.into(), x)
}

/// [`adaptive_max_pool3d`] and where each maximum lies: an I64 tensor of the output's shape, with
/// the flat index `(d·H + h)·W + w` in the volume of its channel.
///
/// # Errors
///
/// Those of [`adaptive_max_pool3d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::adaptive_max_pool3d_with_indices;
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let (_, indices) = adaptive_max_pool3d_with_indices(&x, [1, 1, 2])?;
/// assert_eq!(indices.flatten_all()?.to_vec1::<i64>()?, [13, 15]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_max_pool3d_with_indices(x: &Tensor, output_size: impl Into<OutputSize<3>>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(output_size.into().dims("adaptive_max_pool3d_with_indices", x.dims())?.into(), x)
}
