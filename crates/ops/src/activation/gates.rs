//! Activations of the form x · gate(x).

use super::cpu::gates::{Gated, Glu, Normal, TanhNormal, TanhSoftplus};
use super::cpu::smooth::Sigmoid;
use crate::elementwise::{Map, Zip};
use crate::{Error, Result};
use candle_core::Tensor;
use candle_core::shape::Dim;

/// The sigmoid linear unit.
///
/// # Formula
///
/// `y = x · σ(x)`; 0 at −∞ (its limit; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · (σ(x) + x · σ(x) · σ(−x))`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
/// learning", Neural Networks 107, 2018; also called swish; the semantics are those of `torch.nn.functional.silu`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::silu;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(silu(&x)?.to_vec1::<f32>()?, [-0., 0., 1e4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn silu(x: &Tensor) -> Result<Tensor> {
    Map::of(Gated { name: "silu", gate: Sigmoid }, x)
}

/// A smooth gate of softplus and the hyperbolic tangent.
///
/// # Formula
///
/// `y = x · tanh(log(1 + exp(x)))`; 0 at −∞ (its limit; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · (g + x · g′)`, where `g = tanh(log(1 + exp(x)))` and `g′ = (1 − g²) · σ(x)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020; the semantics are those of
/// `torch.nn.functional.mish`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::mish;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(mish(&x)?.to_vec1::<f32>()?, [-0., 0., 1e4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn mish(x: &Tensor) -> Result<Tensor> {
    Map::of(Gated { name: "mish", gate: TanhSoftplus }, x)
}

/// The Gaussian error linear unit.
///
/// # Formula
///
/// `y = x · Φ(x)`, Φ the distribution function of the standard normal distribution, `(1 + erf(x / √2)) / 2`; 0 at −∞
/// (its limit; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · (Φ(x) + x · φ(x))`, φ the density, `exp(−x² / 2) / √(2π)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", arXiv 1606.08415, 2016; the semantics are those of
/// `torch.nn.functional.gelu`. The error function is that of the `libm` crate, right to the last digits of each
/// dtype.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::gelu;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(gelu(&x)?.to_vec1::<f32>()?, [-0., 0., 1e4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    Map::of(Gated { name: "gelu", gate: Normal }, x)
}

/// [`gelu`](crate::gelu), with its distribution function approximated by a hyperbolic tangent.
///
/// # Formula
///
/// `y = x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2`; 0 at −∞ (its limit; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · (g + x · g′)`, g the factor of x in the formula.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", arXiv 1606.08415, 2016; the semantics are those of
/// `torch.nn.functional.gelu` with `approximate='tanh'`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::gelu_tanh;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(gelu_tanh(&x)?.to_vec1::<f32>()?, [-0., 0., 1e4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    Map::of(Gated { name: "gelu_tanh", gate: TanhNormal }, x)
}

/// The gated linear unit: one half of the input gates the other.
///
/// # Formula
///
/// `y = a · σ(b)`, a and b the first and the second half of `x` along `axis`.
///
/// # Shapes
///
/// `x`: `[…, 2n, …]`, the even extent on `axis`; the result: `[…, n, …]`.
///
/// # Gradient
///
/// `da = dy · σ(b)`, `db = dy · a · σ(b) · σ(−b)`.
///
/// # Errors
///
/// An axis that `x` has not, or whose extent is odd; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks", ICML 2017; the semantics are
/// those of `torch.nn.functional.glu`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::glu;
///
/// let x = Tensor::new(&[[3f32, 5., 0., 1e4]], &Device::Cpu)?;
/// assert_eq!(glu(&x, 1)?.to_vec2::<f32>()?, [[1.5, 5.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn glu<D: Dim>(x: &Tensor, axis: D) -> Result<Tensor> {
    let axis = axis.to_index(x.shape(), "glu")?;
    let extent = x.dims()[axis];
    if !extent.is_multiple_of(2) {
        return Err(Error::Indivisible { op: "glu", argument: "the extent of the axis", value: extent, divisor: 2 });
    }
    let half = |start| x.narrow(axis, start, extent / 2);
    Zip::of(Glu, &half(0)?, &half(extent / 2)?, None)
}
