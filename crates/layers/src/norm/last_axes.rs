//! Layers that normalise over the last axes.

use super::Affine;
use crate::observe::{Cost, Observed};
use crate::parameters::{flag, float, float_or_none, tuple};
use candle_core::{Module, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{layer_norm, rms_norm};

/// How a [`LayerNorm`] normalises, and what it learns.
///
/// ```
/// use taper_layers::LayerNormConfig;
///
/// let config = LayerNormConfig::default().eps(1e-6).bias(false);
/// assert_eq!((config.eps, config.elementwise_affine, config.bias), (1e-6, true, false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNormConfig {
    /// What is added to the variance, default 10⁻⁵.
    pub eps: f64,
    /// Whether there is a weight, default yes.
    pub elementwise_affine: bool,
    /// Whether there is a bias beside the weight, default yes.
    pub bias: bool,
}

impl Default for LayerNormConfig {
    fn default() -> Self {
        Self { eps: 1e-5, elementwise_affine: true, bias: true }
    }
}

impl LayerNormConfig {
    /// Sets what is added to the variance, default 10⁻⁵.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Sets whether there is a weight, default yes.
    pub fn elementwise_affine(self, elementwise_affine: bool) -> Self {
        Self { elementwise_affine, ..self }
    }

    /// Sets whether there is a bias beside the weight, default yes.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }
}

/// Normalisation over the last axes: [`layer_norm`].
///
/// Parameters `weight`, 1 at first, and `bias`, 0, both of shape `normalized_shape`.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{LayerNorm, LayerNormConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = LayerNorm::new((4, 5), LayerNormConfig::default(), store.builder().pp("ln1"))?;
/// assert_eq!(norm.to_string(), "LayerNorm((4, 5), eps=1e-05, elementwise_affine=True, bias=True)");
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(norm.forward(&x)?.dims(), [2, 3, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm {
    affine: Affine,
    normalized_shape: Shape,
    eps: f64,
    path: String,
}

impl LayerNorm {
    /// A normalisation over the last axes, of extents `normalized_shape`.
    ///
    /// # Errors
    /// `vb` refuses the parameters.
    pub fn new(normalized_shape: impl Into<Shape>, config: LayerNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (normalized_shape, LayerNormConfig { eps, elementwise_affine, bias }) = (normalized_shape.into(), config);
        let affine = Affine::new(&normalized_shape, elementwise_affine, bias, &vb)?;
        Ok(Self { affine, normalized_shape, eps, path: vb.prefix() })
    }

    /// The scale, of shape `normalized_shape`.
    pub fn weight(&self) -> Option<&Tensor> {
        self.affine.weight()
    }

    /// The shift, of shape `normalized_shape`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.affine.bias()
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.affine.weight(), self.affine.bias());
        self.report(x, layer_norm(x, self.normalized_shape.dims(), weight, bias, self.eps))
    }
}

impl Observed for LayerNorm {
    fn kind(&self) -> &str {
        "LayerNorm"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        self.affine.cost()
    }
}

impl Display for LayerNorm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (shape, eps) = (tuple(self.normalized_shape.dims()), float(self.eps));
        let (affine, bias) = (flag(self.affine.weight.is_some()), flag(self.affine.bias.is_some()));
        write!(f, "LayerNorm({shape}, eps={eps}, elementwise_affine={affine}, bias={bias})")
    }
}

/// How an [`RMSNorm`] normalises, and whether it learns a weight.
///
/// ```
/// use taper_layers::RMSNormConfig;
///
/// let config = RMSNormConfig::default().eps(1e-6);
/// assert_eq!((config.eps, config.elementwise_affine), (Some(1e-6), true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RMSNormConfig {
    /// What is added to the mean square, default the machine epsilon of the dtype that is computed in.
    pub eps: Option<f64>,
    /// Whether there is a weight, default yes.
    pub elementwise_affine: bool,
}

impl Default for RMSNormConfig {
    fn default() -> Self {
        Self { eps: None, elementwise_affine: true }
    }
}

impl RMSNormConfig {
    /// Sets what is added to the mean square, default the machine epsilon of the dtype that is computed in.
    pub fn eps(self, eps: impl Into<Option<f64>>) -> Self {
        Self { eps: eps.into(), ..self }
    }

    /// Sets whether there is a weight, default yes.
    pub fn elementwise_affine(self, elementwise_affine: bool) -> Self {
        Self { elementwise_affine, ..self }
    }
}

/// Division by the root of the mean square over the last axes: [`rms_norm`].
///
/// Parameter `weight`, of shape `normalized_shape`, 1 at first.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{RMSNorm, RMSNormConfig, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = RMSNorm::new(2, RMSNormConfig::default().eps(0.), store.builder().pp("norm1"))?;
/// assert_eq!(norm.to_string(), "RMSNorm((2,), eps=0.0, elementwise_affine=True)");
/// let x = Tensor::new(&[[1f32, 7.], [-5., 5.]], &Device::Cpu)?;
/// assert_eq!(norm.forward(&x)?.to_vec2::<f32>()?, [[0.2, 1.4], [-1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RMSNorm {
    affine: Affine,
    normalized_shape: Shape,
    eps: Option<f64>,
    path: String,
}

impl RMSNorm {
    /// A normalisation over the last axes, of extents `normalized_shape`.
    ///
    /// # Errors
    /// `vb` refuses the parameter.
    pub fn new(normalized_shape: impl Into<Shape>, config: RMSNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (normalized_shape, RMSNormConfig { eps, elementwise_affine }) = (normalized_shape.into(), config);
        let affine = Affine::new(&normalized_shape, elementwise_affine, false, &vb)?;
        Ok(Self { affine, normalized_shape, eps, path: vb.prefix() })
    }

    /// The scale, of shape `normalized_shape`.
    pub fn weight(&self) -> Option<&Tensor> {
        self.affine.weight()
    }
}

impl Module for RMSNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, rms_norm(x, self.normalized_shape.dims(), self.affine.weight(), self.eps))
    }
}

impl Observed for RMSNorm {
    fn kind(&self) -> &str {
        "RMSNorm"
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        self.affine.cost()
    }
}

impl Display for RMSNorm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (shape, affine) = (tuple(self.normalized_shape.dims()), flag(self.affine.weight.is_some()));
        write!(f, "RMSNorm({shape}, eps={}, elementwise_affine={affine})", float_or_none(self.eps))
    }
}
