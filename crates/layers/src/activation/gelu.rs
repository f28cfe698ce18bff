//! The Gaussian error linear unit.

use crate::observe::Observed;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{gelu, gelu_tanh};

/// The Gaussian error linear unit: [`gelu`], or [`gelu_tanh`], which approximates it.
///
/// Without options it is PyTorch's, by the error function. candle's `Activation::Gelu` is [`GELU::tanh`] here.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use taper_layers::GELU;
///
/// let x = Tensor::new(&[-4f64, 0., 4.], &Device::Cpu)?;
/// let difference = (GELU::default().forward(&x)? - GELU::tanh().forward(&x)?)?.abs()?.max(0)?;
/// assert!(difference.to_scalar::<f64>()? < 1e-3);
/// assert_eq!(GELU::tanh().to_string(), "GELU(approximate='tanh')");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GELU {
    tanh: bool,
}

impl GELU {
    /// By the hyperbolic tangent.
    pub fn tanh() -> Self {
        Self { tanh: true }
    }
}

impl Module for GELU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, if self.tanh { gelu_tanh(x) } else { gelu(x) })
    }
}

impl Observed for GELU {
    fn kind(&self) -> &str {
        "GELU"
    }
}

impl Display for GELU {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "GELU(approximate='{}')", if self.tanh { "tanh" } else { "none" })
    }
}
