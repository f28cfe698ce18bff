//! Batch normalisation: in training by the batch's own statistics, in evaluation by given ones.

use super::cpu::Set;
use super::spec::{NormDims, Sets, Statistics};
use super::{channel_statistics, normalise, normalise_then};
use crate::error::expect_shape;
use crate::rectified::Then;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// A mean and a variance for each channel, `[C]`: those of a batch, or running ones.
#[derive(Debug, Clone)]
pub struct ChannelStatistics {
    /// The means.
    pub mean: Tensor,
    /// The variances.
    pub var: Tensor,
}

/// Normalises each channel by its mean and variance over the batch, then scales and shifts it: for training.
///
/// # Formula
///
/// `y[n, c, …] = (x[n, c, …] − mean[c]) / √(var[c] + eps) · weight[c] + bias[c]`, with the mean and the biased variance (divided
/// by the number of values) of all `x[·, c, …]`. Both are taken in float64; of float32 the sums within a block are float32's, where
/// it holds them, to 1e-6 of the deviation and of the variance. A channel without variance at `eps` 0 is normalised to 0 (the
/// reference refuses an `eps` of 0).
///
/// # Shapes
///
/// `x`: `[N, C]` or `[N, C, …]`; `weight` and `bias`: `[C]`, 1 and 0 where there are none; the result: the shape of `x`.
///
/// # Gradient
///
/// With x̂ the normalised input, g = weight · dy and E the mean over a channel,
/// `dx = (g − E[g] − x̂ · E[g · x̂]) / √(var + eps)`, `dweight = Σ dy · x̂`, `dbias = Σ dy`: one pass for all three, and
/// each differentiable again.
///
/// # Errors
///
/// Fewer than two values a channel (the reference accepts an empty batch), shapes that do not belong together, an `eps` that
/// is negative or not finite, dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
/// ICML 2015; the semantics are those of `torch.nn.functional.batch_norm` with `training=True`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::batch_norm;
///
/// let x = Tensor::new(&[[1f64, 10.], [3., 30.]], &Device::Cpu)?;
/// let y = batch_norm(&x, None, None, 0.)?;
/// assert_eq!(y.to_vec2::<f64>()?, [[-1., -1.], [1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    Ok(normalise(trained(x, eps)?, None, x, weight, bias)?.0)
}

/// [`batch_norm`], and the batch's statistics for running ones to follow.
///
/// # Formula
///
/// The mean of each channel, and its unbiased variance (divided by the number of values less one), which estimates that of
/// the population.
///
/// # Shapes
///
/// Those of [`batch_norm`]; the statistics: `[C]`, in float64 where `x` is, else in float32.
///
/// # Gradient
///
/// That of [`batch_norm`]; the statistics have none.
///
/// # Errors
///
/// Those of [`batch_norm`].
///
/// # Source
///
/// That of [`batch_norm`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::batch_norm_with_statistics;
///
/// let x = Tensor::new(&[[1f64, 10.], [3., 30.]], &Device::Cpu)?;
/// let (_, batch) = batch_norm_with_statistics(&x, None, None, 1e-5)?;
/// assert_eq!(batch.mean.to_vec1::<f64>()?, [2., 20.]);
/// assert_eq!(batch.var.to_vec1::<f64>()?, [2., 200.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_with_statistics(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<(Tensor, ChannelStatistics)> {
    batch_norm_then(x, weight, bias, eps, Then::<1>::Nothing)
}

pub(crate) fn batch_norm_then<const D: usize>(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
    then: Then<'_, D>,
) -> Result<(Tensor, ChannelStatistics)> {
    let (y, op) = normalise_then(trained(x, eps)?, None, x, weight, bias, then)?;
    let statistics = channel_statistics(&op, x)?;
    Ok((y, statistics))
}

/// Normalises each channel by given statistics, then scales and shifts it: batch (or instance) normalisation in evaluation.
///
/// # Formula
///
/// `y[n, c, …] = (x[n, c, …] − mean[c]) / √(var[c] + eps) · weight[c] + bias[c]`. A channel without variance at `eps` 0 is
/// normalised to 0.
///
/// # Shapes
///
/// `x`: `[N, C]` or `[N, C, …]`; all others `[C]`; `weight` and `bias` are 1 and 0 where there are none. The statistics may be
/// of another float dtype than `x`.
///
/// # Gradient
///
/// `dx = dy · weight / √(var + eps)`, `dweight = Σ dy · x̂`, `dbias = Σ dy`. The statistics are constants, tracked or not.
///
/// # Errors
///
/// Shapes that do not belong together, a negative variance, an `eps` that is negative or not finite, dtypes that differ or
/// are not bf16, f16, f32 or f64.
///
/// # Source
///
/// That of [`batch_norm`]; the semantics are those of `torch.nn.functional.batch_norm` with `training=False`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::{ChannelStatistics, batch_norm_eval};
///
/// let new = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
/// let running = ChannelStatistics { mean: new([1., 2.])?, var: new([4., 9.])? };
/// let x = Tensor::new(&[[5f32, 8.]], &Device::Cpu)?;
/// assert_eq!(batch_norm_eval(&x, &running, None, None, 0.)?.to_vec2::<f32>()?, [[2., 2.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_eval(
    x: &Tensor,
    running: &ChannelStatistics,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let op = "batch_norm";
    let dims = NormDims::channels(op, x, |_| Ok(Sets::Channels), Statistics::Fixed, eps)?;
    let read = |argument, tensor: &Tensor| -> Result<Vec<f64>> {
        expect_shape(op, argument, &[dims.channels], tensor)?;
        if !tensor.dtype().is_float() {
            return Err(Error::DType { op, dtype: tensor.dtype(), supported: "bf16, f16, f32, f64" });
        }
        Ok(tensor.to_dtype(DType::F64)?.to_vec1()?)
    };
    let (mean, var) = (read("running mean", &running.mean)?, read("running var", &running.var)?);
    if let Some(&value) = var.iter().find(|var| **var < 0.) {
        return Err(Error::Value { op, argument: "running var", expected: "at least 0", value });
    }
    let sets = mean.into_iter().zip(var).map(|(mean, var)| Set::new(mean, var, eps)).collect();
    Ok(normalise(dims, Some(sets), x, weight, bias)?.0)
}

fn trained(x: &Tensor, eps: f64) -> Result<NormDims> {
    let op = "batch_norm";
    let dims = NormDims::channels(op, x, |_| Ok(Sets::Channels), Statistics::Centred, eps)?;
    // Without channels there is nothing to normalise.
    if dims.channels > 0 && dims.set_len() < 2 {
        return Err(Error::TooFewValues { op, unit: "channel", shape: x.dims().to_vec() });
    }
    Ok(dims)
}
