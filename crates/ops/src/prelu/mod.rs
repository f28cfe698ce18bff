//! The parametric rectifier.

mod autograd;
mod cpu;
mod cuda;
mod spec;

use crate::Result;
use crate::operator::Apply;
use autograd::Prelu;
use candle_core::Tensor;
use spec::PreluDims;

/// The rectified linear unit with a slope on its left side that is learned, one for all channels or one for each.
///
/// # Formula
///
/// `y[n, c, …] = x[n, c, …]` where `x > 0`, else `weight[c] · x[n, c, …]`.
///
/// # Shapes
///
/// `x`: `[N, C, …]` with `weight`: `[C]`, or any shape with `weight`: `[1]`; the result has the shape of `x`.
///
/// # Gradient
///
/// `dx = dy` where `x > 0`, else `weight[c] · dy`: also at `x = 0`; `dweight[c] = Σ x · dy` over the elements of channel c
/// where `x` is not positive.
///
/// # Errors
///
/// A weight of another rank than 1 or of another extent than 1 and C, dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet classification",
/// ICCV 2015; the semantics are those of `torch.nn.functional.prelu`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::prelu;
///
/// let x = Tensor::new(&[[-1f32, -1.], [2., -4.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[0.25f32, 0.5], &Device::Cpu)?;
/// assert_eq!(prelu(&x, &weight)?.to_vec2::<f32>()?, [[-0.25, -0.5], [2., -2.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let dims = PreluDims::new("prelu", x.shape(), weight.dims())?;
    // The first argument only says which side an element is on.
    Ok(Prelu(dims).apply([&x.detach(), weight, x])?)
}
