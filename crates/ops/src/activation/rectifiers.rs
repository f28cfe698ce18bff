//! Activations whose pieces are polynomials.

use super::cpu::piecewise::{Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyRelu, Relu, Softshrink, Threshold};
use super::spec::{finite, shrinks};
use crate::Result;
use crate::elementwise::Map;
use crate::error::expect;
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
/// Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; the semantics are
/// those of `torch.nn.functional.relu`.
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
    Map::of(Relu, x)
}

/// The rectified linear unit, capped at 6.
///
/// # Formula
///
/// `y = min(max(x, 0), 6)`; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `0 < x < 6`, and 0 elsewhere: also at 0, at 6 and at NaN.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Howard et al., "MobileNets", arXiv 1704.04861, 2017; the semantics are those of `torch.nn.functional.relu6`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::relu6;
///
/// let x = Tensor::new(&[-1.5f32, 2., 8.], &Device::Cpu)?;
/// assert_eq!(relu6(&x)?.to_vec1::<f32>()?, [0., 2., 6.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    Map::of(Hardtanh { name: "relu6", min: 0., max: 6. }, x)
}

/// The rectified linear unit with a slope on its left side.
///
/// # Formula
///
/// `y = x` where `x > 0`, else `negative_slope · x`.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `x > 0`, else `negative_slope · dy`: also at `x = 0`.
///
/// # Errors
///
/// A slope that is not finite; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013; the semantics are
/// those of `torch.nn.functional.leaky_relu`, whose default slope is 0.01.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::leaky_relu;
///
/// let x = Tensor::new(&[-3f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(leaky_relu(&x, 0.5)?.to_vec1::<f32>()?, [-1.5, 0., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn leaky_relu(x: &Tensor, negative_slope: f64) -> Result<Tensor> {
    finite("leaky_relu", "negative_slope", negative_slope)?;
    Map::of(LeakyRelu { negative_slope }, x)
}

/// Replaces what does not exceed a threshold.
///
/// # Formula
///
/// `y = x` where `x > threshold`, else `value`; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `x > threshold` (or NaN), and 0 elsewhere: also at the threshold.
///
/// # Errors
///
/// A threshold that is NaN; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// The semantics are those of `torch.nn.functional.threshold`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::threshold;
///
/// let x = Tensor::new(&[0.2f32, 0.5, 2.], &Device::Cpu)?;
/// assert_eq!(threshold(&x, 0.5, -7.)?.to_vec1::<f32>()?, [-7., -7., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn threshold(x: &Tensor, threshold: f64, value: f64) -> Result<Tensor> {
    expect("threshold", "threshold", "a number", threshold, !threshold.is_nan())?;
    Map::of(Threshold { threshold, value }, x)
}

/// Holds every element between two bounds.
///
/// # Formula
///
/// `y = min(max(x, min_val), max_val)`; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `min_val < x < max_val`, and 0 elsewhere: also at both bounds and at NaN.
///
/// # Errors
///
/// `min_val` above `max_val`, or a bound that is NaN; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Collobert, "Large scale machine learning", thesis, 2004; the semantics are those of
/// `torch.nn.functional.hardtanh`, whose default bounds are −1 and 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::hardtanh;
///
/// let x = Tensor::new(&[-3f32, 0.2, 2.], &Device::Cpu)?;
/// assert_eq!(hardtanh(&x, -1., 0.5)?.to_vec1::<f32>()?, [-1., 0.2, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn hardtanh(x: &Tensor, min_val: f64, max_val: f64) -> Result<Tensor> {
    expect("hardtanh", "min_val", "at most max_val", min_val, min_val <= max_val)?;
    Map::of(Hardtanh { name: "hardtanh", min: min_val, max: max_val }, x)
}

/// The sigmoid, of three straight pieces.
///
/// # Formula
///
/// `y = min(max(x + 3, 0), 6) / 6`; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy / 6` where `−3 < x < 3`, and 0 elsewhere: also at −3 and at 3.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Courbariaux, Bengio, David, "BinaryConnect", NeurIPS 2015; the semantics are those of
/// `torch.nn.functional.hardsigmoid`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::hardsigmoid;
///
/// let x = Tensor::new(&[-4f32, 0., 3.], &Device::Cpu)?;
/// assert_eq!(hardsigmoid(&x)?.to_vec1::<f32>()?, [0., 0.5, 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn hardsigmoid(x: &Tensor) -> Result<Tensor> {
    Map::of(Hardsigmoid, x)
}

/// The SiLU, with [`hardsigmoid`] for its sigmoid.
///
/// # Formula
///
/// `y = x · min(max(x + 3, 0), 6) / 6`; NaN stays NaN.
/// `y = 0` at −∞ (its limit; the reference gives NaN).
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy · (x / 3 + 1/2)` where `−3 < x < 3`, `dy` from 3 on, and 0 up to −3.
///
/// # Errors
///
/// Dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Howard et al., "Searching for MobileNetV3", ICCV 2019; the semantics are those of
/// `torch.nn.functional.hardswish`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::hardswish;
///
/// let x = Tensor::new(&[-4f32, 0., 3.], &Device::Cpu)?;
/// assert_eq!(hardswish(&x)?.to_vec1::<f32>()?, [0., 0., 3.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn hardswish(x: &Tensor) -> Result<Tensor> {
    Map::of(Hardswish, x)
}

/// Sets small elements to zero.
///
/// # Formula
///
/// `y = x` where `|x| > lambda`, else 0; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `|x| > lambda` (or NaN), and 0 elsewhere: also at ±lambda.
///
/// # Errors
///
/// A lambda that is negative (the reference takes it for 0) or not finite; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994; the semantics are
/// those of `torch.nn.functional.hardshrink`, whose default lambda is 0.5.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::hardshrink;
///
/// let x = Tensor::new(&[-3f32, 0.25, 0.5], &Device::Cpu)?;
/// assert_eq!(hardshrink(&x, 0.5)?.to_vec1::<f32>()?, [-3., 0., 0.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn hardshrink(x: &Tensor, lambda: f64) -> Result<Tensor> {
    shrinks("hardshrink", lambda)?;
    Map::of(Hardshrink { lambda }, x)
}

/// Moves every element towards zero, as far as zero.
///
/// # Formula
///
/// `y = x − lambda` where `x > lambda`, `x + lambda` where `x < −lambda`, else 0; NaN stays NaN.
///
/// # Shapes
///
/// Any shape; the result has the same.
///
/// # Gradient
///
/// `dx = dy` where `|x| > lambda` (or NaN), and 0 elsewhere: also at ±lambda.
///
/// # Errors
///
/// A lambda that is negative or not finite; dtypes other than bf16, f16, f32 and f64.
///
/// # Source
///
/// Donoho, "De-noising by soft-thresholding", IEEE Transactions on Information Theory 41, 1995; the semantics are
/// those of `torch.nn.functional.softshrink`, whose default lambda is 0.5.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::softshrink;
///
/// let x = Tensor::new(&[-3f32, 0.25, 1.], &Device::Cpu)?;
/// assert_eq!(softshrink(&x, 0.5)?.to_vec1::<f32>()?, [-2.5, 0., 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn softshrink(x: &Tensor, lambda: f64) -> Result<Tensor> {
    shrinks("softshrink", lambda)?;
    Map::of(Softshrink { lambda }, x)
}
