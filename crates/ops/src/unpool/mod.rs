//! Maximum unpooling: puts maxima back where they lay.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::MaxUnpoolSpec;

use crate::{Result, linear_map};
use candle_core::Tensor;
use spec::Unpooling;

/// Puts the maxima of [`max_pool1d_with_indices`](crate::max_pool1d_with_indices) back where they lay; 0 elsewhere.
///
/// # Formula
///
/// `y[n, c, indices[n, c, i]] = x[n, c, i]`, where an index is the position in its channel of the
/// output; 0 where no index points. Of equal indices the last in row-major order wins.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. The indices are of u32 or i64 and of the shape of `x`. On each axis `L' = (L − 1)·s − 2p + k`, unless
/// [`MaxUnpoolSpec::output_size`] names another extent less than `s` away: as many windows fit all of these.
///
/// # Gradient
///
/// `dx[n, c, i] = dy[n, c, indices[n, c, i]]`, and 0 for an element that was overwritten, of which the output holds
/// nothing (PyTorch gives it the gradient of the element that overwrote it). It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, an extent),
/// [`PoolPadding`](crate::Error::PoolPadding), [`UnpoolSize`](crate::Error::UnpoolSize),
/// [`Shape`](crate::Error::Shape) and [`IndexOutOfBounds`](crate::Error::IndexOutOfBounds) (indices),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014; the conventions are those of
/// PyTorch's `max_unpool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, MaxUnpoolSpec, max_pool1d_with_indices, max_unpool1d};
///
/// let x = Tensor::new(&[[1f32, 4., 2., 3., 0.]], &Device::Cpu)?;
/// let (y, indices) = max_pool1d_with_indices(&x, &MaxPoolSpec::new(2))?;
/// let back = max_unpool1d(&y, &indices, &MaxUnpoolSpec::new(2).output_size(5))?;
/// assert_eq!(back.to_vec2::<f32>()?, [[0., 4., 0., 3., 0.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_unpool1d(x: &Tensor, indices: &Tensor, spec: &MaxUnpoolSpec<1>) -> Result<Tensor> {
    max_unpool("max_unpool1d", x, indices, spec)
}

/// Puts the maxima of [`max_pool2d_with_indices`](crate::max_pool2d_with_indices) back where they lay; 0 elsewhere.
///
/// # Formula
///
/// `y[n, c, indices[n, c, i, j]] = x[n, c, i, j]`, where an index is the flat index `h·W + w` in the plane of its channel of the
/// output; 0 where no index points. Of equal indices the last in row-major order wins.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. The indices are of u32 or i64 and of the shape of `x`. On each axis `L' = (L − 1)·s − 2p + k`, unless
/// [`MaxUnpoolSpec::output_size`] names another extent less than `s` away: as many windows fit all of these.
///
/// # Gradient
///
/// `dx[n, c, i, j] = dy[n, c, indices[n, c, i, j]]`, and 0 for an element that was overwritten, of which the output holds
/// nothing (PyTorch gives it the gradient of the element that overwrote it). It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, an extent),
/// [`PoolPadding`](crate::Error::PoolPadding), [`UnpoolSize`](crate::Error::UnpoolSize),
/// [`Shape`](crate::Error::Shape) and [`IndexOutOfBounds`](crate::Error::IndexOutOfBounds) (indices),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014; the conventions are those of
/// PyTorch's `max_unpool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, MaxUnpoolSpec, max_pool2d_with_indices, max_unpool2d};
///
/// let x = Tensor::new(&[[[1f32, 4., 2.], [3., 0., 5.]]], &Device::Cpu)?;
/// let (y, indices) = max_pool2d_with_indices(&x, &MaxPoolSpec::new([2, 1]))?;
/// let back = max_unpool2d(&y, &indices, &MaxUnpoolSpec::new([2, 1]))?;
/// assert_eq!(back.to_vec3::<f32>()?, [[[0., 4., 0.], [3., 0., 5.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_unpool2d(x: &Tensor, indices: &Tensor, spec: &MaxUnpoolSpec<2>) -> Result<Tensor> {
    max_unpool("max_unpool2d", x, indices, spec)
}

/// Puts the maxima of [`max_pool3d_with_indices`](crate::max_pool3d_with_indices) back where they lay; 0 elsewhere.
///
/// # Formula
///
/// `y[n, c, indices[n, c, i, j, k]] = x[n, c, i, j, k]`, where an index is the flat index `(d·H + h)·W + w` in the volume of its channel of the
/// output; 0 where no index points. Of equal indices the last in row-major order wins.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. The indices are of u32 or i64 and of the shape of `x`. On each axis `L' = (L − 1)·s − 2p + k`, unless
/// [`MaxUnpoolSpec::output_size`] names another extent less than `s` away: as many windows fit all of these.
///
/// # Gradient
///
/// `dx[n, c, i, j, k] = dy[n, c, indices[n, c, i, j, k]]`, and 0 for an element that was overwritten, of which the output holds
/// nothing (PyTorch gives it the gradient of the element that overwrote it). It is differentiable itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, stride, an extent),
/// [`PoolPadding`](crate::Error::PoolPadding), [`UnpoolSize`](crate::Error::UnpoolSize),
/// [`Shape`](crate::Error::Shape) and [`IndexOutOfBounds`](crate::Error::IndexOutOfBounds) (indices),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014; the conventions are those of
/// PyTorch's `max_unpool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{MaxPoolSpec, MaxUnpoolSpec, max_pool3d_with_indices, max_unpool3d};
///
/// let x = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 2, 2, 2))?;
/// let (y, indices) = max_pool3d_with_indices(&x, &MaxPoolSpec::new([2, 1, 2]))?;
/// let back = max_unpool3d(&y, &indices, &MaxUnpoolSpec::new([2, 1, 2]))?;
/// assert_eq!(back.flatten_all()?.to_vec1::<f32>()?, [0., 0., 0., 0., 0., 5., 0., 7.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_unpool3d(x: &Tensor, indices: &Tensor, spec: &MaxUnpoolSpec<3>) -> Result<Tensor> {
    max_unpool("max_unpool3d", x, indices, spec)
}

fn max_unpool<const D: usize>(
    op: &'static str,
    x: &Tensor,
    indices: &Tensor,
    spec: &MaxUnpoolSpec<D>,
) -> Result<Tensor> {
    let unpooling = Unpooling::new::<D>(spec.planes(op, x.dims())?, indices)?;
    linear_map::apply(unpooling, x)
}
