//! Normalisation: of a batch's channels, of groups of channels, of instances, of the last axes, with a scale and a shift.

mod autograd;
mod batch;
mod cpu;
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
use candle_core::{DType, Device, Tensor};
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

/// A number for each channel: in float32, unless the input is float64.
fn per_channel(values: impl Iterator<Item = f64>, like: &Tensor) -> Result<Tensor> {
    let dtype = if like.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    Ok(Tensor::from_iter(values, &Device::Cpu)?.to_dtype(dtype)?.to_device(like.device())?)
}
