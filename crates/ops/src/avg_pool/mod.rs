//! Average pooling: each output is the mean of its window.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::AvgPoolSpec;

use crate::{Result, linear_map};
use candle_core::Tensor;

/// The mean of every window along the last axis of each channel.
///
/// # Formula
///
/// `y[n, c, i] = Σ over a of x[n, c, i·s − p + a] / divisor(i)`, over the positions that lie within the input. The divisor
/// is [`AvgPoolSpec::divisor_override`] where it is set; else the positions of the window within the padded input, or,
/// without [`AvgPoolSpec::count_include_pad`], within the input.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of float32 or float64 and any layout; `N` may be 0.
/// `L' = ⌊(L + 2p − k) / s⌋ + 1`; [`AvgPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the divisor, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride),
/// [`PoolPadding`](crate::Error::PoolPadding), [`ZeroDivisor`](crate::Error::ZeroDivisor),
/// [`KernelTooLarge`](crate::Error::KernelTooLarge), [`EmptyWindow`](crate::Error::EmptyWindow),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998 (its subsampling
/// layers, without their coefficients); the conventions are those of PyTorch's `avg_pool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{AvgPoolSpec, avg_pool1d};
///
/// let x = Tensor::new(&[[1f32, 5., 3., 4., 2., 0.]], &Device::Cpu)?;
/// let y = avg_pool1d(&x, &AvgPoolSpec::new(3).stride(2))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[3., 3.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool1d(x: &Tensor, spec: &AvgPoolSpec<1>) -> Result<Tensor> {
    linear_map::apply(spec.dims("avg_pool1d", x.dims())?, x)
}

/// The mean of every window of each channel.
///
/// # Formula
///
/// `y[n, c, i, j] = Σ over (a, b) of x[n, c, i·s_h − p_h + a, j·s_w − p_w + b] / divisor(i, j)`, over the positions that
/// lie within the input. The divisor is [`AvgPoolSpec::divisor_override`] where it is set; else the positions of the
/// window within the padded input, or, without [`AvgPoolSpec::count_include_pad`], within the input.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of float32 or float64 and any layout; `N` may
/// be 0. On each axis `L' = ⌊(L + 2p − k) / s⌋ + 1`; [`AvgPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the divisor, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride),
/// [`PoolPadding`](crate::Error::PoolPadding), [`ZeroDivisor`](crate::Error::ZeroDivisor),
/// [`KernelTooLarge`](crate::Error::KernelTooLarge), [`EmptyWindow`](crate::Error::EmptyWindow),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998 (its subsampling
/// layers, without their coefficients); the conventions are those of PyTorch's `avg_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{AvgPoolSpec, avg_pool2d};
///
/// let x = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 1, 2, 4))?;
/// let y = avg_pool2d(&x, &AvgPoolSpec::new(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.5, 4.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool2d(x: &Tensor, spec: &AvgPoolSpec<2>) -> Result<Tensor> {
    linear_map::apply(spec.dims("avg_pool2d", x.dims())?, x)
}

/// The mean of every window of each channel's volume.
///
/// # Formula
///
/// `y[n, c, i, j, k] = Σ over (a, b, e) of x[n, c, i·s_d − p_d + a, j·s_h − p_h + b, k·s_w − p_w + e] / divisor(i, j, k)`,
/// over the positions that lie within the input. The divisor is [`AvgPoolSpec::divisor_override`] where it is set; else the
/// positions of the window within the padded input, or, without [`AvgPoolSpec::count_include_pad`], within the input.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of float32 or float64 and any
/// layout; `N` may be 0. On each axis `L' = ⌊(L + 2p − k) / s⌋ + 1`; [`AvgPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// Each element of a window gets the output's gradient over the divisor, and adds up where windows overlap. It is
/// differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride),
/// [`PoolPadding`](crate::Error::PoolPadding), [`ZeroDivisor`](crate::Error::ZeroDivisor),
/// [`KernelTooLarge`](crate::Error::KernelTooLarge), [`EmptyWindow`](crate::Error::EmptyWindow),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998 (its subsampling
/// layers, without their coefficients); the conventions are those of PyTorch's `avg_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{AvgPoolSpec, avg_pool3d};
///
/// let x = Tensor::arange(0f32, 16., &Device::Cpu)?.reshape((1, 2, 2, 4))?;
/// let y = avg_pool3d(&x, &AvgPoolSpec::new(2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [6.5, 8.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool3d(x: &Tensor, spec: &AvgPoolSpec<3>) -> Result<Tensor> {
    linear_map::apply(spec.dims("avg_pool3d", x.dims())?, x)
}
