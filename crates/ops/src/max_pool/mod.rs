//! Maximum pooling: each output is the largest element of its window.

mod autograd;
mod cpu;
mod spec;

pub use spec::MaxPoolSpec;

use crate::Result;
use crate::operator::Apply;
use autograd::{Indices, MaxPool};
use candle_core::Tensor;

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
    let dims = spec.dims("max_pool2d", x.dims())?;
    // Only a backward pass will ask where the maxima lie.
    let indices = x.track_op().then(Indices::default);
    Ok(MaxPool::new(dims, indices).apply([x])?)
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
    let dims = spec.dims("max_pool2d_with_indices", x.dims())?;
    let indices = Indices::default();
    let y = MaxPool::new(dims, Some(indices.clone())).apply([x])?;
    let indices = Tensor::from_slice(indices.get()?, y.shape(), y.device())?;
    Ok((y, indices))
}
