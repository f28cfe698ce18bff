//! The local response normalisation layer.

use crate::observe::Observed;
use crate::parameters::float;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::local_response_norm;

/// The numbers of a [`LocalResponseNorm`].
///
/// ```
/// use taper_layers::LocalResponseNormConfig;
///
/// let config = LocalResponseNormConfig::default().k(2.);
/// assert_eq!((config.alpha, config.beta, config.k), (1e-4, 0.75, 2.));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalResponseNormConfig {
    /// The factor of the mean square, default 10⁻⁴.
    pub alpha: f64,
    /// The power, default 0.75.
    pub beta: f64,
    /// What is added before the power, default 1.
    pub k: f64,
}

impl Default for LocalResponseNormConfig {
    fn default() -> Self {
        Self { alpha: 1e-4, beta: 0.75, k: 1. }
    }
}

impl LocalResponseNormConfig {
    /// Sets the factor of the mean square, default 10⁻⁴.
    pub fn alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Sets the power, default 0.75.
    pub fn beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// Sets what is added before the power, default 1.
    pub fn k(self, k: f64) -> Self {
        Self { k, ..self }
    }
}

/// Division of each element of `[N, C, …]` by a power of the mean square of its neighbours in the channels:
/// [`local_response_norm`].
///
/// # Errors
///
/// The first forward pass refuses a size or numbers that the operator does not take.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use taper_layers::{LocalResponseNorm, LocalResponseNormConfig};
///
/// let norm = LocalResponseNorm::new(2, LocalResponseNormConfig { alpha: 2., beta: 1., k: 1. });
/// assert_eq!(norm.to_string(), "LocalResponseNorm(2, alpha=2.0, beta=1.0, k=1.0)");
/// let x = Tensor::new(&[[[3f64], [1.]]], &Device::Cpu)?;
/// assert_eq!(norm.forward(&x)?.flatten_all()?.to_vec1::<f64>()?, [3. / 10., 1. / 11.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalResponseNorm {
    size: usize,
    config: LocalResponseNormConfig,
}

impl LocalResponseNorm {
    /// A normalisation by `size` neighbouring channels.
    pub fn new(size: usize, config: LocalResponseNormConfig) -> Self {
        Self { size, config }
    }
}

impl Module for LocalResponseNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let LocalResponseNormConfig { alpha, beta, k } = self.config;
        self.report(x, local_response_norm(x, self.size, alpha, beta, k))
    }
}

impl Observed for LocalResponseNorm {
    fn kind(&self) -> &str {
        "LocalResponseNorm"
    }
}

impl Display for LocalResponseNorm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let LocalResponseNormConfig { alpha, beta, k } = self.config;
        let (alpha, beta, k) = (float(alpha), float(beta), float(k));
        write!(f, "LocalResponseNorm({}, alpha={alpha}, beta={beta}, k={k})", self.size)
    }
}
