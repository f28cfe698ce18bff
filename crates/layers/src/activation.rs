//! Activation functions as layers.

use crate::observe::Observed;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::relu;

/// The rectified linear unit, `max(x, 0)`: [`relu`].
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use taper_layers::ReLU;
///
/// let x = Tensor::new(&[-1f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(ReLU.forward(&x)?.to_vec1::<f32>()?, [0., 0., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReLU;

impl Module for ReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, relu(x))
    }
}

impl Observed for ReLU {
    fn kind(&self) -> &str {
        "ReLU"
    }
}

impl Display for ReLU {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReLU()")
    }
}
