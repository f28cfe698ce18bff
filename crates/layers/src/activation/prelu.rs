//! The parametric rectifier.

use crate::observe::{Cost, Observed};
use candle_core::{Module, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use std::fmt::{Display, Formatter};
use taper_ops::prelu;

/// The rectified linear unit with a learnt slope on its left side, one for all channels or one for each: [`prelu`].
///
/// Parameter `weight` `[num_parameters]`, 0.25 at first, as in PyTorch.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{PReLU, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let activation = PReLU::new(3, store.builder().pp("act"))?;
/// assert_eq!(activation.to_string(), "PReLU(num_parameters=3)");
/// let x = Tensor::new(&[[-4f32, 0., 4.]], &Device::Cpu)?;
/// assert_eq!(activation.forward(&x)?.to_vec2::<f32>()?, [[-1., 0., 4.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PReLU {
    weight: Tensor,
    path: String,
}

impl PReLU {
    /// A slope for each of `num_parameters` channels, the second axis of the input; with 1, a slope for all elements.
    ///
    /// # Errors
    /// `vb` refuses the parameter.
    pub fn new(num_parameters: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self { weight: vb.get_with_hints(num_parameters, "weight", Init::Const(0.25))?, path: vb.prefix() })
    }

    /// The slopes, `[num_parameters]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}

impl Module for PReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, prelu(x, &self.weight))
    }
}

impl Observed for PReLU {
    fn kind(&self) -> &str {
        "PReLU"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        Some(Cost { parameters: vec![self.weight.clone()], multiply_adds: 0 })
    }
}

impl Display for PReLU {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "PReLU(num_parameters={})", self.weight.elem_count())
    }
}
