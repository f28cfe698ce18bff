//! The softmax and its logarithm.

mod autograd;
mod cpu;
mod cuda;
mod spec;

pub(crate) use cpu::max_and_sum;

use crate::Result;
use crate::operator::Apply;
use autograd::{LogSoftmax, Softmax};
use candle_core::Tensor;
use candle_core::shape::Dim;
use spec::SoftmaxDims;

/// The softmax along an axis: positive numbers that add up to 1.
///
/// # Formula
///
/// `y[c] = exp(x[c]) / Σ_k exp(x[k])`, k running along `axis`. The largest element is subtracted first, so large ones do not
/// overflow. An element of −∞ has the share 0; where there is nothing else, or a +∞, there is no softmax and the result is
/// NaN.
///
/// # Shapes
///
/// `x`: any shape of rank 1 or more; the result has the same.
///
/// # Gradient
///
/// `dx = y · (dy − Σ_k dy[k] · y[k])`.
///
/// # Errors
///
/// An axis that `x` has not; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Bridle, "Probabilistic interpretation of feedforward classification network outputs", Neurocomputing, 1990; the semantics
/// are those of `torch.nn.functional.softmax`.
///
/// ```
/// use candle_core::{D, Device, Tensor};
/// use taper_ops::softmax;
///
/// let x = Tensor::new(&[[1e4f32, 1e4, -1e4]], &Device::Cpu)?;
/// assert_eq!(softmax(&x, D::Minus1)?.to_vec2::<f32>()?, [[0.5, 0.5, 0.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softmax<D: Dim>(x: &Tensor, axis: D) -> Result<Tensor> {
    Ok(Softmax(SoftmaxDims::new("softmax", x.shape(), axis)?).apply([x])?)
}

/// The logarithm of the softmax along an axis, whose digits survive where the softmax itself is 0 or 1 to rounding.
///
/// # Formula
///
/// `y[c] = x[c] − log Σ_k exp(x[k])`, k running along `axis`; the largest element is subtracted first.
///
/// # Shapes
///
/// `x`: any shape of rank 1 or more; the result has the same.
///
/// # Gradient
///
/// `dx = dy − exp(y) · Σ_k dy[k]`.
///
/// # Errors
///
/// An axis that `x` has not; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.log_softmax`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::log_softmax;
///
/// let x = Tensor::new(&[[0f32], [1e4]], &Device::Cpu)?;
/// assert_eq!(log_softmax(&x, 0)?.to_vec2::<f32>()?, [[-1e4], [0.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn log_softmax<D: Dim>(x: &Tensor, axis: D) -> Result<Tensor> {
    Ok(LogSoftmax(SoftmaxDims::new("log_softmax", x.shape(), axis)?).apply([x])?)
}
