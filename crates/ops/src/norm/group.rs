//! Normalisation of each sample on its own, in groups of channels or channel by channel.

use super::batch::ChannelStatistics;
use super::spec::{NormDims, Sets, Statistics};
use super::{channel_statistics, normalise};
use crate::{Error, Result};
use candle_core::Tensor;

/// Normalises each group of neighbouring channels of each sample, then scales and shifts each channel.
///
/// # Formula
///
/// `y[n, c, …] = (x[n, c, …] − mean[n, g]) / √(var[n, g] + eps) · weight[c] + bias[c]`, where g is the group of c, of
/// `C / num_groups` channels, with the mean and the biased variance of the group. Both are taken as [`batch_norm`](crate::batch_norm) takes them. A group without
/// variance at `eps` 0 is normalised to 0 (the reference gives NaN).
///
/// # Shapes
///
/// `x`: `[N, C]` or `[N, C, …]`; `weight` and `bias`: `[C]`, 1 and 0 where there are none; the result: the shape of `x`.
///
/// # Gradient
///
/// As that of [`batch_norm`](crate::batch_norm), with E the mean over a group.
///
/// # Errors
///
/// `num_groups` that is 0 or does not divide C, shapes that do not belong together, an `eps` that is negative or not
/// finite, dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// Wu and He, "Group normalization", ECCV 2018; the semantics are those of `torch.nn.functional.group_norm`, save that a
/// single sample with a single element a group, which the reference refuses, is normalised to 0.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::group_norm;
///
/// let x = Tensor::new(&[[1f32, 3., 10., 30.]], &Device::Cpu)?;
/// assert_eq!(group_norm(&x, 2, None, None, 0.)?.to_vec2::<f32>()?, [[-1., 1., -1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn group_norm(
    x: &Tensor,
    num_groups: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let op = "group_norm";
    let sets = |channels: usize| {
        if num_groups == 0 {
            return Err(Error::NotPositive { op, argument: "num_groups", value: vec![num_groups] });
        }
        if !channels.is_multiple_of(num_groups) {
            return Err(Error::Groups { op, groups: num_groups, argument: "the input's channels", channels });
        }
        Ok(Sets::Groups(channels / num_groups))
    };
    let dims = NormDims::channels(op, x, sets, Statistics::Centred, eps)?;
    Ok(normalise(dims, None, x, weight, bias)?.0)
}

/// Normalises each channel of each sample, then scales and shifts it.
///
/// # Formula
///
/// `y[n, c, …] = (x[n, c, …] − mean[n, c]) / √(var[n, c] + eps) · weight[c] + bias[c]`, with the mean and the biased variance of
/// `x[n, c, …]`. Both are taken as [`batch_norm`](crate::batch_norm) takes them. A channel without variance at `eps` 0 is normalised to 0 (the reference gives
/// NaN). In evaluation with running statistics it is [`batch_norm_eval`](crate::batch_norm_eval).
///
/// # Shapes
///
/// `x`: `[N, C, …]` with at least one axis behind C; `weight` and `bias`: `[C]`, 1 and 0 where there are none; the result: the
/// shape of `x`.
///
/// # Gradient
///
/// As that of [`batch_norm`](crate::batch_norm), with E the mean over a channel of a sample.
///
/// # Errors
///
/// Fewer than two values a channel and sample, shapes that do not belong together, an `eps` that is negative or not finite,
/// dtypes that differ or are not bf16, f16, f32 or f64.
///
/// # Source
///
/// Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016; the semantics
/// are those of `torch.nn.functional.instance_norm`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::instance_norm;
///
/// let x = Tensor::new(&[[[1f32, 3.], [10., 30.]]], &Device::Cpu)?;
/// assert_eq!(instance_norm(&x, None, None, 0.)?.to_vec3::<f32>()?, [[[-1., 1.], [-1., 1.]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn instance_norm(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    Ok(normalise(instances(x, eps)?, None, x, weight, bias)?.0)
}

/// [`instance_norm`], and its statistics for running ones to follow.
///
/// # Formula
///
/// For each channel, the mean over the samples of their means and of their unbiased variances.
///
/// # Shapes
///
/// Those of [`instance_norm`]; the statistics: `[C]`, in float64 where `x` is, else in float32.
///
/// # Gradient
///
/// That of [`instance_norm`]; the statistics have none.
///
/// # Errors
///
/// Those of [`instance_norm`]; and a batch of nothing, which has no statistics.
///
/// # Source
///
/// That of [`instance_norm`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_ops::instance_norm_with_statistics;
///
/// let x = Tensor::new(&[[[1f64, 3.]], [[10., 30.]]], &Device::Cpu)?;
/// let (_, batch) = instance_norm_with_statistics(&x, None, None, 1e-5)?;
/// assert_eq!(batch.mean.to_vec1::<f64>()?, [11.]);
/// assert_eq!(batch.var.to_vec1::<f64>()?, [101.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn instance_norm_with_statistics(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<(Tensor, ChannelStatistics)> {
    let dims = instances(x, eps)?;
    if dims.samples == 0 {
        return Err(Error::TooFewValues { op: dims.op, unit: "channel", shape: x.dims().to_vec() });
    }
    let (y, op) = normalise(dims, None, x, weight, bias)?;
    let statistics = channel_statistics(&op, x)?;
    Ok((y, statistics))
}

fn instances(x: &Tensor, eps: f64) -> Result<NormDims> {
    let op = "instance_norm";
    if x.rank() < 3 {
        return Err(Error::Rank { op, argument: "input", expected: "3 or more", shape: x.dims().to_vec() });
    }
    let dims = NormDims::channels(op, x, |_| Ok(Sets::Groups(1)), Statistics::Centred, eps)?;
    if dims.set_count() > 0 && dims.positions < 2 {
        return Err(Error::TooFewValues { op, unit: "channel and sample", shape: x.dims().to_vec() });
    }
    Ok(dims)
}
