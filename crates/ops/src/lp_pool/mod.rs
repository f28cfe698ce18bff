//! Power-average pooling: the p-norm of each window.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub use spec::LpPoolSpec;

use crate::max_pool::max_pool;
use crate::operator::Apply;
use crate::{Result, linear_map, relu};
use autograd::Power;
use candle_core::Tensor;
use std::sync::Arc;

/// The p-norm of every window along the last axis of each channel: a mean at one end and a maximum at the other.
///
/// # Formula
///
/// `y = (mean of x^p over the window · k)^(1/p)`, which is `(Σ x^p)^(1/p)` over a whole window. In ceil mode a last
/// window that is clipped has the mean of what it holds, times the full `k` all the same, as in PyTorch. With
/// `p = ∞` it is the largest `|x|`, with `p = −∞` the smallest.
///
/// `x^p` is of `x`, not of `|x|`: an even `p` gives the norm. An odd one adds signed powers, whose sum must not be negative
/// unless `p = 1`, and a fractional one needs `x ≥ 0`; elsewhere the result is NaN, as it is in PyTorch. `x^p` must lie in
/// the range of the dtype: in float32, `p = 2` overflows beyond 1.8e19.
///
/// # Shapes
///
/// `[N, C, L]` to `[N, C, L']`, or `[C, L]` to `[C, L']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. On each axis `L' = ⌊(L − k) / s⌋ + 1`; [`LpPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// `dx = dy · (x / y)^(p − 1)`, adding up where windows overlap; 0 throughout a window whose sum of powers is 0, such as
/// one of zeros. For infinite `p` it goes to the first element of the largest (smallest) magnitude, with its sign, and is
/// 0 at 0. It is differentiable itself. With `p < 1` it is infinite at an `x` of 0 beside others, as the slope is.
///
/// # Errors
///
/// [`Value`](crate::Error::Value) (a `p` that is 0, negative and finite, or NaN), [`Rank`](crate::Error::Rank),
/// [`NotPositive`](crate::Error::NotPositive) (kernel size, stride), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Sermanet, Chintala, LeCun, "Convolutional neural networks applied to house numbers digit classification", ICPR 2012;
/// the conventions are those of PyTorch's `lp_pool1d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{LpPoolSpec, lp_pool1d};
///
/// let x = Tensor::new(&[[3f32, 4., 0., 0., 5., 12.]], &Device::Cpu)?;
/// assert_eq!(lp_pool1d(&x, &LpPoolSpec::new(2., 2))?.to_vec2::<f32>()?, [[5., 0., 13.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lp_pool1d(x: &Tensor, spec: &LpPoolSpec<1>) -> Result<Tensor> {
    lp_pool("lp_pool1d", x, spec)
}

/// The p-norm of every window of each channel: a mean at one end and a maximum at the other.
///
/// # Formula
///
/// `y = (mean of x^p over the window · k_h·k_w)^(1/p)`, which is `(Σ x^p)^(1/p)` over a whole window. In ceil mode a last
/// window that is clipped has the mean of what it holds, times the full `k_h·k_w` all the same, as in PyTorch. With
/// `p = ∞` it is the largest `|x|`, with `p = −∞` the smallest.
///
/// `x^p` is of `x`, not of `|x|`: an even `p` gives the norm. An odd one adds signed powers, whose sum must not be negative
/// unless `p = 1`, and a fractional one needs `x ≥ 0`; elsewhere the result is NaN, as it is in PyTorch. `x^p` must lie in
/// the range of the dtype: in float32, `p = 2` overflows beyond 1.8e19.
///
/// # Shapes
///
/// `[N, C, H, W]` to `[N, C, H', W']`, or `[C, H, W]` to `[C, H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. On each axis `L' = ⌊(L − k) / s⌋ + 1`; [`LpPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// `dx = dy · (x / y)^(p − 1)`, adding up where windows overlap; 0 throughout a window whose sum of powers is 0, such as
/// one of zeros. For infinite `p` it goes to the first element of the largest (smallest) magnitude, with its sign, and is
/// 0 at 0. It is differentiable itself. With `p < 1` it is infinite at an `x` of 0 beside others, as the slope is.
///
/// # Errors
///
/// [`Value`](crate::Error::Value) (a `p` that is 0, negative and finite, or NaN), [`Rank`](crate::Error::Rank),
/// [`NotPositive`](crate::Error::NotPositive) (kernel size, stride), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Sermanet, Chintala, LeCun, "Convolutional neural networks applied to house numbers digit classification", ICPR 2012;
/// the conventions are those of PyTorch's `lp_pool2d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{LpPoolSpec, lp_pool2d};
///
/// let x = Tensor::new(&[[[3f32, 5.], [4., 12.]]], &Device::Cpu)?;
/// assert_eq!(lp_pool2d(&x, &LpPoolSpec::new(2., [2, 1]))?.to_vec3::<f32>()?, [[[5., 13.]]]);
/// // The largest magnitude.
/// assert_eq!(lp_pool2d(&x, &LpPoolSpec::new(f64::INFINITY, [2, 1]))?.to_vec3::<f32>()?, [[[4., 12.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lp_pool2d(x: &Tensor, spec: &LpPoolSpec<2>) -> Result<Tensor> {
    lp_pool("lp_pool2d", x, spec)
}

/// The p-norm of every window of each channel: a mean at one end and a maximum at the other.
///
/// # Formula
///
/// `y = (mean of x^p over the window · k_d·k_h·k_w)^(1/p)`, which is `(Σ x^p)^(1/p)` over a whole window. In ceil mode a last
/// window that is clipped has the mean of what it holds, times the full `k_d·k_h·k_w` all the same, as in PyTorch. With
/// `p = ∞` it is the largest `|x|`, with `p = −∞` the smallest.
///
/// `x^p` is of `x`, not of `|x|`: an even `p` gives the norm. An odd one adds signed powers, whose sum must not be negative
/// unless `p = 1`, and a fractional one needs `x ≥ 0`; elsewhere the result is NaN, as it is in PyTorch. `x^p` must lie in
/// the range of the dtype: in float32, `p = 2` overflows beyond 1.8e19.
///
/// # Shapes
///
/// `[N, C, D, H, W]` to `[N, C, D', H', W']`, or `[C, D, H, W]` to `[C, D', H', W']`, of bf16, f16, f32 or f64 and any layout; `N` may
/// be 0. On each axis `L' = ⌊(L − k) / s⌋ + 1`; [`LpPoolSpec::ceil_mode`] rounds up instead.
///
/// # Gradient
///
/// `dx = dy · (x / y)^(p − 1)`, adding up where windows overlap; 0 throughout a window whose sum of powers is 0, such as
/// one of zeros. For infinite `p` it goes to the first element of the largest (smallest) magnitude, with its sign, and is
/// 0 at 0. It is differentiable itself. With `p < 1` it is infinite at an `x` of 0 beside others, as the slope is.
///
/// # Errors
///
/// [`Value`](crate::Error::Value) (a `p` that is 0, negative and finite, or NaN), [`Rank`](crate::Error::Rank),
/// [`NotPositive`](crate::Error::NotPositive) (kernel size, stride), [`KernelTooLarge`](crate::Error::KernelTooLarge),
/// [`Overflow`](crate::Error::Overflow) and [`DType`](crate::Error::DType).
///
/// # Source
///
/// Sermanet, Chintala, LeCun, "Convolutional neural networks applied to house numbers digit classification", ICPR 2012;
/// the conventions are those of PyTorch's `lp_pool3d`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{LpPoolSpec, lp_pool3d};
///
/// let x = Tensor::arange(0f32, 8., &Device::Cpu)?.reshape((1, 2, 2, 2))?;
/// let y = lp_pool3d(&x, &LpPoolSpec::new(1., [2, 1, 2]))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [10., 18.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lp_pool3d(x: &Tensor, spec: &LpPoolSpec<3>) -> Result<Tensor> {
    lp_pool("lp_pool3d", x, spec)
}

fn lp_pool<const D: usize>(op: &'static str, x: &Tensor, spec: &LpPoolSpec<D>) -> Result<Tensor> {
    spec.check(op)?;
    let p = spec.norm_type;
    if p.is_infinite() {
        let windows = Arc::new(spec.maxima().dims(op, x.dims())?);
        let magnitudes = magnitudes(x)?;
        return Ok(if p > 0. {
            max_pool(windows, &magnitudes)?
        } else {
            max_pool(windows, &magnitudes.neg()?)?.neg()?
        });
    }
    let windows = spec.averages().dims(op, x.dims())?;
    let powers =
        Power { op, shape: x.shape().clone(), coefficient: 1., exponent: p, flat_at_zero: false }.apply([x])?;
    let means = linear_map::apply(windows, &powers)?;
    let (shape, coefficient) = (means.shape().clone(), spec.window().powf(1. / p));
    Ok(Power { op, shape, coefficient, exponent: 1. / p, flat_at_zero: true }.apply([&means])?)
}

/// `|x|`, with the gradient 0 at 0, where candle's own has 1.
fn magnitudes(x: &Tensor) -> Result<Tensor> {
    Ok((relu(x)? + relu(&x.neg()?)?)?)
}
