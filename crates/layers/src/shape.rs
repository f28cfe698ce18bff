//! Layers that change a tensor's shape and none of its elements.

use crate::observe::Observed;
use candle_core::{Error, Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::flatten;

/// Joins the axes from `start_dim` to the last into one: `[N, C, H, W]` becomes `[N, C·H·W]` by default.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::Flatten;
///
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(Flatten::default().forward(&x)?.dims(), [2, 60]);
/// assert_eq!(Flatten { start_dim: 2 }.forward(&x)?.dims(), [2, 3, 20]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten {
    /// The first axis to join, default 1: the batch stays apart.
    pub start_dim: usize,
}

impl Default for Flatten {
    fn default() -> Self {
        Self { start_dim: 1 }
    }
}

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, flatten(x, self.start_dim).map_err(Error::from))
    }
}

impl Observed for Flatten {
    fn kind(&self) -> &str {
        "Flatten"
    }
}

impl Display for Flatten {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flatten(start_dim={}, end_dim=-1)", self.start_dim)
    }
}
