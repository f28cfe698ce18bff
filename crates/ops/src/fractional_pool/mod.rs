//! Fractional maximum pooling: windows at random distances, so that an axis shrinks by any factor.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::{FractionalMaxPoolSpec, FractionalSize, RandomSamples};

use crate::Result;
use crate::max_pool::{max_pool, max_pool_with_indices};
use candle_core::Tensor;

/// The largest element of every window of each channel, with windows at pseudo-random distances.
///
/// # Formula
///
/// `y[n, c, i, j] = max over (h, w) in [start_H(i), start_H(i) + k_h) × [start_W(j), start_W(j) + k_w)` of `x`, where along an axis of
/// extent `L` with `o` windows of extent `k` and the number `u` of this sample, channel and axis
/// `start_L(i) = ⌊(i + u)·α⌋ − ⌊u·α⌋`, `α = (L − k) / (o − 1)`, and the last window starts at `L − k`. In row-major order
/// the first of equal elements is taken and the last NaN.
///
/// The numbers come from a [`Draw`](crate::Draw) or a tensor: see [`RandomSamples`]. As in PyTorch the number of the width comes first, that of the height second.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. The extents of the output are given, or `⌊L · ratio⌋`.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, output size),
/// [`Value`](crate::Error::Value) (ratio, random samples), [`TooManyWindows`](crate::Error::TooManyWindows),
/// [`Shape`](crate::Error::Shape) (random samples), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Graham, "Fractional max-pooling", 2014; the conventions are those of PyTorch's `fractional_max_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{FractionalMaxPoolSpec, Mode, fractional_max_pool2d};
///
/// let x = Tensor::arange(0f32, 70., &Device::Cpu)?.reshape((1, 1, 7, 10))?;
/// let spec = FractionalMaxPoolSpec::new(2, [4, 7]);
/// let mode = Mode::train(42, 0, 0);
/// assert_eq!(fractional_max_pool2d(&x, &spec, mode.draw().unwrap())?.dims(), [1, 1, 4, 7]);
/// // With numbers of one's own, the windows are known: rows 0–1, 2–3, 3–4 and 5–6 here.
/// let samples = Tensor::new(&[[[0.5f32, 0.25]]], &Device::Cpu)?;
/// let y = fractional_max_pool2d(&x, &spec, &samples)?.narrow(3, 0, 1)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [11., 31., 41., 61.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fractional_max_pool2d<'a>(
    x: &Tensor,
    spec: &FractionalMaxPoolSpec<2>,
    samples: impl Into<RandomSamples<'a>>,
) -> Result<Tensor> {
    max_pool(spec.dims("fractional_max_pool2d", x.dims(), samples.into())?.into(), x)
}

/// The largest element of every window of each channel, with windows at pseudo-random distances.
///
/// # Formula
///
/// `y[n, c, i, j, k] = max over (d, h, w) in [start_D(i), start_D(i) + k_d) × [start_H(j), start_H(j) + k_h) × [start_W(k), start_W(k) + k_w)` of `x`, where along an axis of
/// extent `L` with `o` windows of extent `k` and the number `u` of this sample, channel and axis
/// `start_L(i) = ⌊(i + u)·α⌋ − ⌊u·α⌋`, `α = (L − k) / (o − 1)`, and the last window starts at `L − k`. In row-major order
/// the first of equal elements is taken and the last NaN.
///
/// The numbers come from a [`Draw`](crate::Draw) or a tensor: see [`RandomSamples`]. As in PyTorch the numbers come in the order depth, height, width.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. The extents of the output are given, or `⌊L · ratio⌋`.
///
/// # Gradient
///
/// The gradient of an output goes to the element that was taken, and adds up where windows overlap. It is differentiable
/// itself.
///
/// # Errors
///
/// [`Rank`](crate::Error::Rank), [`NotPositive`](crate::Error::NotPositive) (kernel size, output size),
/// [`Value`](crate::Error::Value) (ratio, random samples), [`TooManyWindows`](crate::Error::TooManyWindows),
/// [`Shape`](crate::Error::Shape) (random samples), [`Overflow`](crate::Error::Overflow) and
/// [`DType`](crate::Error::DType).
///
/// # Source
///
/// Graham, "Fractional max-pooling", 2014; the conventions are those of PyTorch's `fractional_max_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{FractionalMaxPoolSpec, Mode, fractional_max_pool3d};
///
/// let x = Tensor::arange(0f32, 140., &Device::Cpu)?.reshape((1, 1, 2, 7, 10))?;
/// let spec = FractionalMaxPoolSpec::with_ratio([1, 2, 3], [0.9, 0.6, 0.5]);
/// let mode = Mode::train(42, 0, 0);
/// assert_eq!(fractional_max_pool3d(&x, &spec, mode.draw().unwrap())?.dims(), [1, 1, 1, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fractional_max_pool3d<'a>(
    x: &Tensor,
    spec: &FractionalMaxPoolSpec<3>,
    samples: impl Into<RandomSamples<'a>>,
) -> Result<Tensor> {
    max_pool(spec.dims("fractional_max_pool3d", x.dims(), samples.into())?.into(), x)
}

/// [`fractional_max_pool2d`] and where each maximum lies: an I64 tensor of the output's shape, with
/// the flat index `h·W + w` in the plane of its channel.
///
/// # Errors
///
/// Those of [`fractional_max_pool2d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{FractionalMaxPoolSpec, fractional_max_pool2d_with_indices};
///
/// let x = Tensor::arange(0f32, 12., &Device::Cpu)?.reshape((1, 3, 4))?;
/// let samples = Tensor::new(&[[[0.5f32, 0.5]]], &Device::Cpu)?;
/// let (_, indices) = fractional_max_pool2d_with_indices(&x, &FractionalMaxPoolSpec::new(2, [1, 2]), &samples)?;
/// assert_eq!(indices.to_vec3::<i64>()?, [[[9, 11]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fractional_max_pool2d_with_indices<'a>(
    x: &Tensor,
    spec: &FractionalMaxPoolSpec<2>,
    samples: impl Into<RandomSamples<'a>>,
) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(spec.dims("fractional_max_pool2d_with_indices", x.dims(), samples.into())?.into(), x)
}

/// [`fractional_max_pool3d`] and where each maximum lies: an I64 tensor of the output's shape, with
/// the flat index `(d·H + h)·W + w` in the volume of its channel.
///
/// # Errors
///
/// Those of [`fractional_max_pool3d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{FractionalMaxPoolSpec, fractional_max_pool3d_with_indices};
///
/// let x = Tensor::arange(0f32, 12., &Device::Cpu)?.reshape((1, 1, 3, 4))?;
/// let samples = Tensor::new(&[[[0.5f32, 0.5, 0.5]]], &Device::Cpu)?;
/// let spec = FractionalMaxPoolSpec::new([1, 2, 2], [1, 1, 2]);
/// let (_, indices) = fractional_max_pool3d_with_indices(&x, &spec, &samples)?;
/// assert_eq!(indices.flatten_all()?.to_vec1::<i64>()?, [9, 11]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fractional_max_pool3d_with_indices<'a>(
    x: &Tensor,
    spec: &FractionalMaxPoolSpec<3>,
    samples: impl Into<RandomSamples<'a>>,
) -> Result<(Tensor, Tensor)> {
    max_pool_with_indices(spec.dims("fractional_max_pool3d_with_indices", x.dims(), samples.into())?.into(), x)
}
