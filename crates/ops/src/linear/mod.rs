//! The fully connected layer's product.

mod autograd;
mod cpu;
mod cuda;
mod spec;

use crate::Result;
use crate::rectified::Then;
use autograd::Linear;
use candle_core::Tensor;
use spec::LinearDims;

/// An affine map of the last axis.
///
/// # Formula
///
/// `y[…, o] = Σ_i x[…, i] · weight[o, i] + bias[o]`.
///
/// # Shapes
///
/// `x`: `[…, in_features]`, any number of leading axes, none included; `weight`: `[out_features, in_features]`; `bias`:
/// `[out_features]`; the result: `[…, out_features]`.
///
/// # Gradient
///
/// `dx = dy · weight`, `dweight = dyᵀ · x`, `dbias = Σ dy`, the leading axes taken together: each only where it is wanted,
/// and each differentiable again.
///
/// # Errors
///
/// Ranks or extents that do not belong together, dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.linear`; the product is the `gemm` crate's, on a CUDA device cuBLAS's.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::linear;
///
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.], [5., 6.], [7., 8.]], &Device::Cpu)?;
/// let bias = Tensor::new(&[0f32, 1., 2.], &Device::Cpu)?;
/// assert_eq!(linear(&x, &weight, Some(&bias))?.to_vec2::<f32>()?, [[11., 18., 25.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear_then(x, weight, bias, Then::<1>::Nothing)
}

pub(crate) fn linear_then<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    then: Then<'_, D>,
) -> Result<Tensor> {
    let dims = LinearDims::new("linear", x.dims(), weight.dims(), bias.map(Tensor::dims))?;
    match bias {
        None => then.apply(Linear(dims), [x, weight]),
        Some(bias) => then.apply(Linear(dims), [x, weight, bias]),
    }
}
