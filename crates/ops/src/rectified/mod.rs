//! Operators with ReLU behind them, and perhaps max pooling, as one: the bits of those called one after the other, in less
//! time and memory.

mod autograd;
mod cpu;
mod cuda;

pub(crate) use autograd::{Add, Then};

use crate::conv::{ConvSpec, conv};
use crate::error::expect_shape;
use crate::linear::linear_then;
use crate::max_pool::MaxPoolSpec;
use crate::norm::batch_norm_then;
use crate::{ChannelStatistics, Result};
use candle_core::Tensor;

/// Convolution over `D` axes, ReLU, and max pooling where `pool` says how.
///
/// # Formula
///
/// `max_pool(relu(conv(x, weight, bias, spec)), pool)`, to the bit, or `relu(conv(…))`: see [`conv2d`](crate::conv2d),
/// [`relu`](crate::relu) and [`max_pool2d`](crate::max_pool2d).
///
/// # Shapes
///
/// Those of the operators, one after the other.
///
/// # Gradient
///
/// That of the operators one after the other, to the bit. The backward pass keeps the result instead of what lies between.
///
/// # Errors
///
/// Those of the operators.
///
/// # Source
///
/// Those of the operators.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{ConvSpec, MaxPoolSpec, conv_relu};
///
/// let x = Tensor::new(&[[[1f32, -2., 3., -4.]]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[[2f32]]], &Device::Cpu)?;
/// let y = conv_relu(&x, &weight, None, &ConvSpec::<1>::default(), Some(&MaxPoolSpec::new(2)))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2., 6.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv_relu<const D: usize>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    spec: &ConvSpec<D>,
    pool: Option<&MaxPoolSpec<D>>,
) -> Result<Tensor> {
    const { assert!(0 < D && D <= 3, "convolution runs over one to three axes") };
    conv(["conv1d", "conv2d", "conv3d"][D - 1], x, weight, bias, spec, relu_then(pool))
}

/// Batch normalisation in training, ReLU, and max pooling over `D` axes where `pool` says how; the batch's statistics too.
///
/// # Formula
///
/// `max_pool(relu(batch_norm(x, weight, bias, eps)), pool)`, to the bit, or `relu(batch_norm(…))`: see
/// [`batch_norm_with_statistics`](crate::batch_norm_with_statistics), [`relu`](crate::relu) and
/// [`max_pool2d`](crate::max_pool2d).
///
/// # Shapes
///
/// Those of the operators, one after the other.
///
/// # Gradient
///
/// That of the operators one after the other, to the bit. The backward pass keeps the result instead of what lies between.
///
/// # Errors
///
/// Those of the operators.
///
/// # Source
///
/// Those of the operators.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::batch_norm_relu;
///
/// let x = Tensor::new(&[[1f64, 10.], [3., 30.]], &Device::Cpu)?;
/// let (y, batch) = batch_norm_relu::<1>(&x, None, None, 0., None)?;
/// assert_eq!(y.to_vec2::<f64>()?, [[0., 0.], [1., 1.]]);
/// assert_eq!(batch.mean.to_vec1::<f64>()?, [2., 20.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_relu<const D: usize>(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
    pool: Option<&MaxPoolSpec<D>>,
) -> Result<(Tensor, ChannelStatistics)> {
    batch_norm_then(x, weight, bias, eps, relu_then(pool))
}

/// The affine map of the last axis and ReLU.
///
/// # Formula
///
/// `relu(linear(x, weight, bias))`, to the bit: see [`linear`](crate::linear) and [`relu`](crate::relu).
///
/// # Shapes
///
/// Those of [`linear`](crate::linear).
///
/// # Gradient
///
/// That of the operators one after the other, to the bit. The backward pass keeps the result instead of what lies between.
///
/// # Errors
///
/// Those of the operators.
///
/// # Source
///
/// Those of the operators.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::linear_relu;
///
/// let x = Tensor::new(&[[1f32, -2.]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[1f32, 0.], [0., 1.]], &Device::Cpu)?;
/// assert_eq!(linear_relu(&x, &weight, None)?.to_vec2::<f32>()?, [[1., 0.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear_relu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear_then(x, weight, bias, relu_then::<1>(None))
}

/// The sum of two tensors and ReLU: what ends a block of a residual network.
///
/// # Formula
///
/// `y = max(a + b, 0)`; NaN stays NaN.
///
/// # Shapes
///
/// `a` and `b`: any shape, the same for both; the result has it too.
///
/// # Gradient
///
/// `da = db = dy` where `a + b > 0` (or NaN), and 0 elsewhere.
///
/// # Errors
///
/// [`Shape`](crate::Error::Shape), [`DTypeMismatch`](crate::Error::DTypeMismatch), [`DType`](crate::Error::DType).
///
/// # Source
///
/// He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv 1512.03385, equation 1.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::add_relu;
///
/// let a = Tensor::new(&[1f32, -2., 3.], &Device::Cpu)?;
/// let b = Tensor::new(&[4f32, 1., -3.], &Device::Cpu)?;
/// assert_eq!(add_relu(&a, &b)?.to_vec1::<f32>()?, [5., 0., 0.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    expect_shape("add_relu", "b", a.dims(), b)?;
    relu_then::<1>(None).apply(Add { op: "add_relu", shape: a.shape().clone() }, [a, b])
}

fn relu_then<const D: usize>(pool: Option<&MaxPoolSpec<D>>) -> Then<'_, D> {
    const { assert!(0 < D && D <= 3, "pooling runs over one to three axes") };
    Then::Relu { pool: pool.map(|spec| (["max_pool1d", "max_pool2d", "max_pool3d"][D - 1], spec)) }
}
