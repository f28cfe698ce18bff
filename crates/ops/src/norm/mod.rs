//! Normalisation: of a batch's channels, of groups of channels, of instances, of the last axes, with a scale and a shift.

mod autograd;
mod batch;
mod cpu;
mod cuda;
mod group;
mod last_axes;
mod second_order;
mod spec;

pub(crate) use batch::batch_norm_then;
pub use batch::{ChannelStatistics, batch_norm, batch_norm_eval, batch_norm_with_statistics};
pub use group::{group_norm, instance_norm, instance_norm_with_statistics};
pub use last_axes::{layer_norm, rms_norm};

use crate::Result;
use crate::rectified::Then;
use autograd::Norm;
use candle_core::{DType, Device, Shape, Tensor};
use cpu::Set;
use spec::NormDims;

/// The normalised input, and how to learn the statistics of its sets.
fn normalise(
    dims: NormDims,
    fixed: Option<Vec<Set>>,
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
) -> Result<(Tensor, Norm)> {
    normalise_then(dims, fixed, x, weight, bias, Then::<1>::Nothing)
}

fn normalise_then<const D: usize>(
    dims: NormDims,
    fixed: Option<Vec<Set>>,
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    then: Then<'_, D>,
) -> Result<(Tensor, Norm)> {
    dims.expect_affine("weight", weight)?;
    dims.expect_affine("bias", bias)?;
    let ones;
    let weight = match (weight, bias) {
        (None, Some(_)) => {
            ones = Tensor::ones(dims.affine_shape(), x.dtype(), x.device())?;
            Some(&ones)
        }
        (weight, _) => weight,
    };
    let op = Norm::new(dims, fixed);
    let y = match (weight, bias) {
        (Some(weight), Some(bias)) => then.apply(op.clone(), [x, weight, bias])?,
        (Some(weight), None) => then.apply(op.clone(), [x, weight])?,
        (None, _) => then.apply(op.clone(), [x])?,
    };
    Ok((y, op))
}

/// The means and the unbiased variances of the channels of `x`, averaged over the samples where each has its own: in float32,
/// unless `x` is float64.
fn channel_statistics(Norm(shared): &Norm, x: &Tensor) -> Result<ChannelStatistics> {
    let (dims, shape) = (&shared.dims, Shape::from(shared.dims.channels));
    if let Some(sets) = shared.known_on_device() {
        let statistic = |number| crate::cuda::tensor(x, &shape, |gpu| cuda::statistic(gpu, dims, sets, number));
        return Ok(ChannelStatistics { mean: statistic(0)?, var: statistic(1)? });
    }
    let (sets, count) = (shared.known_sets(), dims.set_len() as f64);
    let samples = sets.len().checked_div(dims.channels).unwrap_or_default() as f64;
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let per_channel = |of: fn(&Set) -> f64| {
        let sum = |channel| sets.iter().skip(channel).step_by(dims.channels).map(of).sum::<f64>();
        (0..dims.channels).map(sum).collect::<Vec<_>>()
    };
    let tensor = |values: Vec<f64>| Tensor::from_vec(values, &shape, &Device::Cpu)?.to_dtype(dtype);
    let mean = per_channel(|set| set.mean).into_iter().map(|sum| sum / samples).collect();
    let var = per_channel(|set| set.var).into_iter().map(|sum| sum * count / (count - 1.) / samples).collect();
    Ok(ChannelStatistics { mean: tensor(mean)?, var: tensor(var)? })
}
