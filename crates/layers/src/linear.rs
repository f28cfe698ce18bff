//! The fully connected layer.

use crate::observe::{Cost, Observed};
use crate::parameters::{fan_in_uniform, flag};
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::linear;

/// A learnt linear map: [`linear`].
///
/// Parameters `weight` `[out_features, in_features]` and `bias` `[out_features]`, both drawn from `U(−1/√f, 1/√f)` with
/// `f = in_features`, as PyTorch does.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{Linear, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let fc = Linear::new(6, 4, store.builder().pp("fc"))?;
/// assert_eq!(fc.to_string(), "Linear(in_features=6, out_features=4, bias=True)");
/// let x = Tensor::zeros((2, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(fc.forward(&x)?.dims(), [2, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    in_features: usize,
    out_features: usize,
    path: String,
}

impl Linear {
    /// A map of `in_features` to `out_features`, with a bias.
    ///
    /// # Errors
    /// `vb` refuses the parameters.
    pub fn new(in_features: usize, out_features: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let bias = vb.get_with_hints(out_features, "bias", fan_in_uniform(in_features))?;
        Ok(Self { bias: Some(bias), ..Self::no_bias(in_features, out_features, vb)? })
    }

    /// A map of `in_features` to `out_features`, without a bias.
    ///
    /// # Errors
    /// `vb` refuses the parameters.
    pub fn no_bias(in_features: usize, out_features: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let weight = vb.get_with_hints((out_features, in_features), "weight", fan_in_uniform(in_features))?;
        Ok(Self { weight, bias: None, in_features, out_features, path: vb.prefix() })
    }

    /// The matrix, `[out_features, in_features]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out_features]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, linear(x, &self.weight, self.bias.as_ref()))
    }
}

impl Observed for Linear {
    fn kind(&self) -> &str {
        "Linear"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, output: &Tensor) -> Option<Cost> {
        Some(Cost {
            parameters: [&self.weight].into_iter().chain(&self.bias).cloned().collect(),
            multiply_adds: output.elem_count() as u64 * self.in_features as u64,
        })
    }
}

impl Display for Linear {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { in_features, out_features, bias, .. } = self;
        let bias = flag(bias.is_some());
        write!(f, "Linear(in_features={in_features}, out_features={out_features}, bias={bias})")
    }
}
