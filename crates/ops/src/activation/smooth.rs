//! Activations made of exponentials and quotients.

use super::cpu::smooth::{Elu, Logsigmoid, Sigmoid, Softplus, Softsign, Tanh, Tanhshrink};
use super::spec::finite;
use crate::Result;
use crate::elementwise::Map;
use crate::error::expect;
use candle_core::Tensor;

/// The logistic function σ.
///
/// # Formula
///
/// `y = 1 / (1 + exp(−x))`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · σ(x) · σ(−x)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.sigmoid`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::sigmoid;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(sigmoid(&x)?.to_vec1::<f32>()?, [0., 0.5, 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Map::of(Sigmoid, x)
}

/// The hyperbolic tangent.
///
/// # Formula
///
/// `y = (exp(x) − exp(−x)) / (exp(x) + exp(−x))`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy / cosh²(x)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.tanh`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::tanh;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(tanh(&x)?.to_vec1::<f32>()?, [-1., 0., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    Map::of(Tanh, x)
}

/// What the hyperbolic tangent leaves of its argument.
///
/// # Formula
///
/// `y = x − tanh(x)`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · tanh²(x)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.tanhshrink`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::tanhshrink;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// assert_eq!(tanhshrink(&x)?.to_vec1::<f32>()?, [-9999., 0., 9999.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn tanhshrink(x: &Tensor) -> Result<Tensor> {
    Map::of(Tanhshrink, x)
}

/// A sigmoid without exponentials.
///
/// # Formula
///
/// `y = x / (1 + |x|)`; ±1 at ±∞ (its limits; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy / (1 + |x|)²`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Turian, Bergstra, Bengio, "Quadratic features and deep architectures for chunking", NAACL 2009; the semantics are
/// those of `torch.nn.functional.softsign`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::softsign;
///
/// let x = Tensor::new(&[-3f32, 0., 1.], &Device::Cpu)?;
/// assert_eq!(softsign(&x)?.to_vec1::<f32>()?, [-0.75, 0., 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softsign(x: &Tensor) -> Result<Tensor> {
    Map::of(Softsign, x)
}

/// A smooth rectifier.
///
/// # Formula
///
/// `y = log(1 + exp(beta · x)) / beta`, and `x` itself where `beta · x > threshold`. No value overflows, whatever
/// the threshold.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · σ(beta · x)`, and `dy` above the threshold.
///
/// # Errors
///
/// A beta that is zero or not finite, a threshold that is NaN; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Dugas, Bengio, Bélisle, Nadeau, Garcia, "Incorporating second-order functional knowledge for better option
/// pricing", NeurIPS 2000; the semantics are those of `torch.nn.functional.softplus`, whose defaults are beta 1 and
/// threshold 20.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::softplus;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// let y = softplus(&x, 1., 20.)?.to_vec1::<f32>()?;
/// assert!((y[1] - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softplus(x: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    expect("softplus", "beta", "finite and other than 0", beta, beta.is_finite() && beta != 0.)?;
    expect("softplus", "threshold", "a number", threshold, !threshold.is_nan())?;
    Map::of(Softplus { beta, threshold }, x)
}

/// The logarithm of the logistic function.
///
/// # Formula
///
/// `y = log σ(x) = −log(1 + exp(−x))`, whose digits survive where σ(x) is 0 or 1 to rounding.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · σ(−x)`.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.logsigmoid`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::logsigmoid;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1e4], &Device::Cpu)?;
/// let y = logsigmoid(&x)?.to_vec1::<f32>()?;
/// assert!((y[1] - 0.5f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn logsigmoid(x: &Tensor) -> Result<Tensor> {
    Map::of(Logsigmoid, x)
}

/// The exponential linear unit.
///
/// # Formula
///
/// `y = x` where `x > 0`, else `alpha · (exp(x) − 1)`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · alpha · exp(x)` where `x ≤ 0`, else `dy` (at NaN too).
///
/// # Errors
///
/// An alpha that is not finite; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units (ELUs)",
/// ICLR 2016; the semantics are those of `torch.nn.functional.elu`, whose default alpha is 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::elu;
///
/// let x = Tensor::new(&[-1e4f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(elu(&x, 1.5)?.to_vec1::<f32>()?, [-1.5, 0., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    finite("elu", "alpha", alpha)?;
    Map::of(Elu { name: "elu", right: 1., left: alpha, rate: 1. }, x)
}

/// The scaled exponential linear unit, under which activations keep mean 0 and variance 1.
///
/// # Formula
///
/// `y = scale · x` where `x > 0`, else `scale · alpha · (exp(x) − 1)`, with scale = 1.0507009873554805 and alpha =
/// 1.6732632423543772.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · scale · alpha · exp(x)` where `x ≤ 0`, else `dy · scale` (at NaN too).
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017; the semantics are
/// those of `torch.nn.functional.selu`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::selu;
///
/// let x = Tensor::new(&[-1e4f32, 0., 1.], &Device::Cpu)?;
/// assert_eq!(selu(&x)?.to_vec1::<f32>()?, [-1.758_099_3, 0., 1.050_701]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn selu(x: &Tensor) -> Result<Tensor> {
    const SCALE: f64 = 1.050_700_987_355_480_5;
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    Map::of(Elu { name: "selu", right: SCALE, left: SCALE * ALPHA, rate: 1. }, x)
}

/// The exponential linear unit with a continuous slope.
///
/// # Formula
///
/// `y = x` where `x > 0`, else `alpha · (exp(x / alpha) − 1)`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · exp(x / alpha)` where `x ≤ 0`, else `dy` (at NaN too): continuous at 0.
///
/// # Errors
///
/// An alpha that is zero or not finite; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Barron, "Continuously differentiable exponential linear units", arXiv 1704.07483, 2017; the semantics are those
/// of `torch.nn.functional.celu`, whose default alpha is 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::celu;
///
/// let x = Tensor::new(&[-1e4f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(celu(&x, 1.5)?.to_vec1::<f32>()?, [-1.5, 0., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn celu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    expect("celu", "alpha", "finite and other than 0", alpha, alpha.is_finite() && alpha != 0.)?;
    Map::of(Elu { name: "celu", right: 1., left: alpha, rate: 1. / alpha }, x)
}
