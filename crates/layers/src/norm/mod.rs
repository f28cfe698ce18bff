//! Normalisation: over a batch's channels, over those of a sample, over the last axes, over neighbouring channels.

mod batch;
mod channels;
mod config;
mod group;
mod instance;
mod last_axes;
mod local_response;

pub use batch::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use config::{BatchNormConfig, InstanceNormConfig};
pub use group::{GroupNorm, GroupNormConfig};
pub use instance::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d};
pub use last_axes::{LayerNorm, LayerNormConfig, RMSNorm, RMSNormConfig};
pub use local_response::{LocalResponseNorm, LocalResponseNormConfig};

use crate::observe::Cost;
use candle_core::{Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};
use taper_ops::Error;

/// The learnt scale and shift of a normalisation, 1 and 0 at first.
#[derive(Debug, Clone)]
struct Affine {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl Affine {
    /// A weight where `affine`, and with it a bias where `bias`.
    fn new(shape: impl Into<Shape>, affine: bool, bias: bool, vb: &VarBuilder<'_>) -> Result<Self> {
        let shape = shape.into();
        let parameter =
            |wanted: bool, name, value| wanted.then(|| vb.get_with_hints(&shape, name, Init::Const(value))).transpose();
        Ok(Self { weight: parameter(affine, "weight", 1.)?, bias: parameter(affine && bias, "bias", 0.)? })
    }

    fn weight(&self) -> Option<&Tensor> {
        self.weight.as_ref()
    }

    fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    fn cost(&self) -> Option<Cost> {
        let parameters = self.weight.iter().chain(&self.bias).cloned().collect();
        Some(Cost { parameters, multiply_adds: 0 })
    }
}

/// Refuses an input that has not `channels` channels on its axis `axis`.
fn expect_channels(op: &'static str, x: &Tensor, axis: usize, channels: usize) -> taper_ops::Result<()> {
    let mut expected = x.dims().to_vec();
    match expected.get_mut(axis) {
        Some(extent) if *extent != channels => *extent = channels,
        // What has no such axis is the operator's to refuse.
        _ => return Ok(()),
    }
    Err(Error::Shape { op, argument: "input", expected, shape: x.dims().to_vec() })
}
