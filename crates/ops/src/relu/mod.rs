//! The rectifier.

mod autograd;
mod cpu;

use crate::Result;
use crate::operator::Apply;
use autograd::Relu;
use candle_core::Tensor;

/// The rectified linear unit, elementwise.
///
/// # Formula
///
/// `y = max(x, 0)`; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `x > 0` (or NaN), and 0 elsewhere: also at `x = 0`, where candle's own `Tensor::relu` gives `dy`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; the semantics are those of
/// `torch.nn.functional.relu`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::relu;
///
/// let x = Tensor::new(&[-1.5f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(relu(&x)?.to_vec1::<f32>()?, [0., 0., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(Relu { shape: x.shape().clone() }.apply([x])?)
}
