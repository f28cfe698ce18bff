//! The group normalisation layer.

use super::{Affine, expect_channels};
use crate::observe::{Cost, Observed};
use crate::parameters::{flag, float};
use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Error, group_norm};

/// How a [`GroupNorm`] normalises, and what it learns.
///
/// ```
/// use taper_layers::GroupNormConfig;
///
/// let config = GroupNormConfig::default().eps(1e-3).bias(false);
/// assert_eq!((config.eps, config.affine, config.bias), (1e-3, true, false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormConfig {
    /// What is added to the variance, default 10⁻⁵.
    pub eps: f64,
    /// Whether there is a weight, default yes.
    pub affine: bool,
    /// Whether there is a bias beside the weight, default yes.
    pub bias: bool,
}

impl Default for GroupNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5, affine: true, bias: true }
    }
}

impl GroupNormConfig {
    /// Sets what is added to the variance, default 10⁻⁵.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Sets whether there is a weight, default yes.
    pub fn affine(self, affine: bool) -> Self {
        Self { affine, ..self }
    }

    /// Sets whether there is a bias beside the weight, default yes.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

/// Normalisation of each group of neighbouring channels of each sample of `[N, C, …]`: [`group_norm`].
///
/// Parameters `weight` `[num_channels]`, 1 at first, and `bias` `[num_channels]`, 0.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{GroupNorm, GroupNormConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = GroupNorm::new(2, 4, GroupNormConfig::default().eps(0.), store.builder().pp("norm1"))?;
/// assert_eq!(norm.to_string(), "GroupNorm(2, 4, eps=0.0, affine=True, bias=True)");
/// let x = Tensor::new(&[[1f32, 3., 10., 30.]], &Device::Cpu)?;
/// assert_eq!(norm.forward(&x)?.to_vec2::<f32>()?, [[-1., 1., -1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GroupNorm {
    affine: Affine,
    num_groups: usize,
    num_channels: usize,
    eps: f64,
    path: String,
}

impl GroupNorm {
    const NAME: &str = "GroupNorm";

    /// A normalisation of `num_channels` channels in `num_groups` groups.
    ///
    /// # Errors
    /// `num_groups` is 0 or does not divide `num_channels`; or `vb` refuses the parameters.
    pub fn new(num_groups: usize, num_channels: usize, config: GroupNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (op, GroupNormConfig { eps, affine, bias }) = (Self::NAME, config);
        if num_groups == 0 {
            return Err(Error::NotPositive { op, argument: "num_groups", value: vec![0] }.into());
        }
        if !num_channels.is_multiple_of(num_groups) {
            let (argument, channels) = ("num_channels", num_channels);
            return Err(Error::Groups { op, groups: num_groups, argument, channels }.into());
        }
        Ok(Self {
            affine: Affine::new(num_channels, affine, bias, &vb)?,
            num_groups,
            num_channels,
            eps,
            path: vb.prefix(),
        })
    }

    /// The scale, `[num_channels]`.
    pub fn weight(&self) -> Option<&Tensor> {
        self.affine.weight()
    }

    /// The shift, `[num_channels]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.affine.bias()
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.affine.weight(), self.affine.bias());
        let checked = expect_channels(Self::NAME, x, 1, self.num_channels);
        self.report(x, checked.and_then(|()| group_norm(x, self.num_groups, weight, bias, self.eps)))
    }
}

impl Observed for GroupNorm {
    fn kind(&self) -> &str {
        Self::NAME
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        self.affine.cost()
    }
}

impl Display for GroupNorm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { affine, num_groups, num_channels, eps, .. } = self;
        let (eps, bias, affine) = (float(*eps), flag(affine.bias.is_some()), flag(affine.weight.is_some()));
        write!(f, "{}({num_groups}, {num_channels}, eps={eps}, affine={affine}, bias={bias})", Self::NAME)
    }
}
