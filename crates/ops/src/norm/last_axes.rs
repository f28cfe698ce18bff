//! Normalisation over the last axes, with a weight for each of their elements.

use super::normalise;
use super::spec::{NormDims, Statistics};
use crate::Result;
use candle_core::{DType, Tensor};

/// Normalises over the last axes, then scales and shifts each of their elements.
///
/// # Formula
///
/// `y[…, i] = (x[…, i] − mean[…]) / √(var[…] + eps) · weight[i] + bias[i]`, where i runs over the axes of `normalized_shape`, with
/// the mean and the biased variance over them. Both are taken as [`batch_norm`](crate::batch_norm) takes them. Where there is no variance and `eps` is 0, the
/// normalised values are 0 (the reference gives NaN).
///
/// # Shapes
///
/// `x`: `[…]` followed by `normalized_shape`, which `weight` and `bias` have too; they are 1 and 0 where there are none.
///
/// # Gradient
///
/// As that of [`batch_norm`](crate::batch_norm), with E the mean over the last axes.
///
/// # Errors
///
/// An empty `normalized_shape` or one in which `x` does not end, other shapes that do not belong together, an `eps` that is
/// negative or not finite, dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// Ba, Kiros, Hinton, "Layer normalization", 2016; the semantics are those of `torch.nn.functional.layer_norm`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::layer_norm;
///
/// let x = Tensor::new(&[[1f32, 3.], [10., 30.]], &Device::Cpu)?;
/// assert_eq!(layer_norm(&x, &[2], None, None, 0.)?.to_vec2::<f32>()?, [[-1., 1.], [-1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn layer_norm(
    x: &Tensor,
    normalized_shape: &[usize],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let dims = NormDims::last_axes("layer_norm", x, normalized_shape, Statistics::Centred, eps)?;
    Ok(normalise(dims, None, x, weight, bias)?.0)
}

/// Divides by the root of the mean square over the last axes, then scales each of their elements.
///
/// # Formula
///
/// `y[…, i] = x[…, i] / √(mean[x²] + eps) · weight[i]`, where i and the mean run over the axes of `normalized_shape`; the mean
/// is taken as [`batch_norm`](crate::batch_norm) takes a variance. Without `eps` it is the machine epsilon of the dtype that is computed in: 2⁻⁵² for f64, 2⁻²³ for all
/// others. Zeros at `eps` 0 stay zeros (the reference gives NaN).
///
/// # Shapes
///
/// `x`: `[…]` followed by `normalized_shape`, which `weight` has too; it is 1 where there is none.
///
/// # Gradient
///
/// With x̂ the normalised input, g = weight · dy and E the mean over the last axes,
/// `dx = (g − x̂ · E[g · x̂]) / √(mean[x²] + eps)`, `dweight = Σ dy · x̂`; each differentiable again.
///
/// # Errors
///
/// Those of [`layer_norm`].
///
/// # Source
///
/// Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019; the semantics are those of
/// `torch.nn.functional.rms_norm`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::rms_norm;
///
/// let x = Tensor::new(&[[1f32, 7.], [-5., 5.]], &Device::Cpu)?;
/// assert_eq!(rms_norm(&x, &[2], None, Some(0.))?.to_vec2::<f32>()?, [[0.2, 1.4], [-1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn rms_norm(x: &Tensor, normalized_shape: &[usize], weight: Option<&Tensor>, eps: Option<f64>) -> Result<Tensor> {
    let epsilon = if x.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let eps = eps.unwrap_or(epsilon);
    let dims = NormDims::last_axes("rms_norm", x, normalized_shape, Statistics::Uncentred, eps)?;
    Ok(normalise(dims, None, x, weight, None)?.0)
}
