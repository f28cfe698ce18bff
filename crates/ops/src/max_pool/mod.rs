//! Maximum pooling: each output is the largest element of its window.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub(crate) use autograd::{MaxPool, Maxima, Places, max_pool, max_pool_with_indices};
pub(crate) use cuda::Kernels;
pub use spec::MaxPoolSpec;

use crate::Result;
use candle_core::Tensor;
use std::sync::Arc;

/// The largest element of every window along the last axis of each channel.
///
/// # Formula
///
/// `y[n, c, i] = max over a of x[n, c, i·s − p + a·d]`, over the positions that lie within the input: padding never wins.
/// The first of equal elements is taken and the last NaN.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of float32 or float64 and any layout; `N` may be 0.
/// `L' = ⌊(L + 2p − d·(k − 1) − 1) / s⌋ + 1`; [`MaxPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, dilation),
/// [`PoolPadding`](crate::Error::PoolPadding), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`EmptyWindow`](crate::Error::EmptyWindow), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Boureau, Ponce, LeCun, "A theoretical analysis of feature pooling in visual recognition", ICML 2010; the conventions
/// are those of PyTorch's `max_pool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool1d};
///
/// let x = Tensor::new(&[[1f32, 4., 2., 3., 0., 5.]], &Device::Cpu)?;
/// let y = max_pool1d(&x, &MaxPoolSpec::new(3).stride(2))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[4., 3.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool1d(x: &Tensor, spec: &MaxPoolSpec<1>) -> Result<Tensor> {
    max_pool(Arc::new(spec.dims("max_pool1d", x.dims())?), x)
}

/// The largest element of every window of each channel.
///
/// # Formula
///
/// `y[n, c, i, j] = max over (a, b) of x[n, c, i·s_h − p_h + a·d_h, j·s_w − p_w + b·d_w]`, over the positions that lie
/// within the input: padding never wins. In row-major order the first of equal elements is taken and the last NaN.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of float32 or float64 and any layout; `N` may
/// be 0. On each axis `L' = ⌊(L + 2p − d·(k − 1) − 1) / s⌋ + 1`; [`MaxPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, dilation),
/// [`PoolPadding`](crate::Error::PoolPadding), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`EmptyWindow`](crate::Error::EmptyWindow), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Boureau, Ponce, LeCun, "A theoretical analysis of feature pooling in visual recognition", ICML 2010; the conventions
/// are those of PyTorch's `max_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool2d};
///
/// let x = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 1, 2, 4))?;
/// let y = max_pool2d(&x, &MaxPoolSpec::new(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5., 7.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2d(x: &Tensor, spec: &MaxPoolSpec<2>) -> Result<Tensor> {
    max_pool(Arc::new(spec.dims("max_pool2d", x.dims())?), x)
}

/// The largest element of every window of each channel's volume.
///
/// # Formula
///
/// `y[n, c, i, j, k] = max over (a, b, e) of x[n, c, i·s_d − p_d + a·d_d, j·s_h − p_h + b·d_h, k·s_w − p_w + e·d_w]`, over
/// the positions that lie within the input: padding never wins. In row-major order the first of equal elements is taken
/// and the last NaN.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of float32 or float64 and any
/// layout; `N` may be 0. On each axis `L' = ⌊(L + 2p − d·(k − 1) − 1) / s⌋ + 1`; [`MaxPoolSpec::ceil_mode`] rounds up
/// instead.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, dilation),
/// [`PoolPadding`](crate::Error::PoolPadding), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`EmptyWindow`](crate::Error::EmptyWindow), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Boureau, Ponce, LeCun, "A theoretical analysis of feature pooling in visual recognition", ICML 2010; the conventions
/// are those of PyTorch's `max_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool3d};
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let y = max_pool3d(&x, &MaxPoolSpec::new(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [13., 15.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool3d(x: &Tensor, spec: &MaxPoolSpec<3>) -> Result<Tensor> {
    max_pool(Arc::new(spec.dims("max_pool3d", x.dims())?), x)
}

/// [`max_pool1d`] and where each maximum lies: an I64 tensor of the output's shape, with the position in the unpadded
/// input.
///
/// # Errors
///
/// Those of [`max_pool1d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool1d_with_indices};
///
/// let x = Tensor::new(&[[1f32, 4., 2., 3., 0., 5.]], &Device::Cpu)?;
/// let (y, indices) = max_pool1d_with_indices(&x, &MaxPoolSpec::new(2))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[4., 3., 5.]]);
/// assert_eq!(indices.to_vec2::<i64>()?, [[1, 3, 5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool1d_with_indices(x: &Tensor, spec: &MaxPoolSpec<1>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(Arc::new(spec.dims("max_pool1d_with_indices", x.dims())?), x)
}

/// [`max_pool2d`] and where each maximum lies: an I64 tensor of the output's shape, with the flat index `h·W + w` in the
/// unpadded plane of its channel.
///
/// # Errors
///
/// Those of [`max_pool2d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool2d_with_indices};
///
/// let x = Tensor::new(&[[[1f32, 4., 2.], [3., 0., 5.]]], &Device::Cpu)?;
/// let (y, indices) = max_pool2d_with_indices(&x, &MaxPoolSpec::new(2).stride(1))?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[4., 5.]]]);
/// assert_eq!(indices.to_vec3::<i64>()?, [[[1, 5]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2d_with_indices(x: &Tensor, spec: &MaxPoolSpec<2>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(Arc::new(spec.dims("max_pool2d_with_indices", x.dims())?), x)
}

/// [`max_pool3d`] and where each maximum lies: an I64 tensor of the output's shape, with the flat index
/// `(d·H + h)·W + w` in the unpadded volume of its channel.
///
/// # Errors
///
/// Those of [`max_pool3d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, max_pool3d_with_indices};
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let (_, indices) = max_pool3d_with_indices(&x, &MaxPoolSpec::new(2))?;
/// assert_eq!(indices.flatten_all()?.to_vec1::<i64>()?, [13, 15]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool3d_with_indices(x: &Tensor, spec: &MaxPoolSpec<3>) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(Arc::new(spec.dims("max_pool3d_with_indices", x.dims())?), x)
}
