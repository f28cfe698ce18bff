//! Instance normalisation layers.

use super::channels::ChannelNorm;
use super::{BatchNormConfig, InstanceNormConfig};
use crate::Layer;
use crate::observe::{Cost, Observed};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Error, Mode, instance_norm, instance_norm_with_statistics};

/// Instance normalisation, that of each channel of each sample, of `[N, C, …]` or `[C, …]` with `D` axes behind the
/// channels: [`instance_norm`].
///
/// By default it learns and keeps nothing. Where it is configured to, it has the parameters and the buffers of a
/// [`BatchNorm`](crate::BatchNorm), and evaluation uses the running statistics. Unlike PyTorch's it counts its batches,
/// so that without a momentum its running statistics are the average over them.
///
/// # Errors
///
/// The forward pass refuses an input of another rank or of other than `num_features` channels, fewer than two values a
/// channel and sample where it takes statistics of them, and what the operators refuse.
#[derive(Debug, Clone)]
pub struct InstanceNorm<const D: usize>(ChannelNorm);

/// Instance normalisation of `[N, C, L]` or `[C, L]`. See [`InstanceNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{InstanceNorm1d, InstanceNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = InstanceNorm1d::new(2, InstanceNormConfig::default().eps(0.), store.builder().pp("norm1"))?;
/// let x = Tensor::new(&[[1f32, 3.], [10., 30.]], &Device::Cpu)?;
/// assert_eq!(norm.eval().forward(&x)?.to_vec2::<f32>()?, [[-1., 1.], [-1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type InstanceNorm1d = InstanceNorm<1>;

/// Instance normalisation of `[N, C, H, W]` or `[C, H, W]`. See [`InstanceNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{InstanceNorm2d, InstanceNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = InstanceNorm2d::new(3, InstanceNormConfig::default().affine(true), store.builder().pp("norm1"))?;
/// let text = "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=False)";
/// assert_eq!(norm.to_string(), text);
/// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(norm.eval().forward(&x)?.dims(), [2, 3, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type InstanceNorm2d = InstanceNorm<2>;

/// Instance normalisation of `[N, C, D, H, W]` or `[C, D, H, W]`. See [`InstanceNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{InstanceNorm3d, InstanceNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let config = InstanceNormConfig::default().track_running_stats(true);
/// let norm = InstanceNorm3d::new(3, config, store.builder().pp("norm1"))?;
/// let x = Tensor::ones((2, 3, 1, 4, 5), DType::F32, &Device::Cpu)?;
/// norm.train(42, 0, 0).forward(&x)?;
/// assert_eq!(norm.running_mean().unwrap().to_vec1::<f32>()?, [0.1; 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type InstanceNorm3d = InstanceNorm<3>;

impl<const D: usize> InstanceNorm<D> {
    const NAME: &str = ["", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"][D];

    /// A normalisation of `num_features` channels.
    ///
    /// # Errors
    /// A momentum outside [0, 1]; or `vb` refuses a parameter or a buffer.
    pub fn new(num_features: usize, config: InstanceNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        const { assert!(D >= 1 && D <= 3, "normalisation is over one to three axes") };
        let InstanceNormConfig { eps, momentum, affine, bias, track_running_stats } = config;
        let config = BatchNormConfig { eps, momentum, affine, bias, track_running_stats };
        Ok(Self(ChannelNorm::new(Self::NAME, num_features, config, &vb)?))
    }

    /// The scale, `[num_features]`.
    pub fn weight(&self) -> Option<&Tensor> {
        self.0.affine.weight()
    }

    /// The shift, `[num_features]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.0.affine.bias()
    }

    /// The running mean, `[num_features]`.
    pub fn running_mean(&self) -> Option<&Tensor> {
        self.0.running_mean()
    }

    /// The running variance, `[num_features]`.
    pub fn running_var(&self) -> Option<&Tensor> {
        self.0.running_var()
    }

    fn normalise(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let Some(channel_axis) = (x.rank() + 1).checked_sub(D + 2).filter(|axis| *axis < 2) else {
            let expected = ["", "2 or 3", "3 or 4", "4 or 5"][D];
            let (op, shape) = (Self::NAME, x.dims().to_vec());
            return Err(Error::Rank { op, argument: "input", expected, shape }.into());
        };
        self.0.expect_channels(x, channel_axis)?;
        let forward = |x: &Tensor| self.0.forward(x, mode, instance_norm, instance_norm_with_statistics);
        if channel_axis == 0 { forward(&x.unsqueeze(0)?)?.squeeze(0) } else { forward(x) }
    }
}

impl<const D: usize> Layer for InstanceNorm<D> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.report(x, self.normalise(x, mode))
    }
}

impl<const D: usize> Observed for InstanceNorm<D> {
    fn kind(&self) -> &str {
        Self::NAME
    }

    fn path(&self) -> &str {
        &self.0.path
    }

    fn cost(&self, _output: &Tensor) -> Option<Cost> {
        self.0.affine.cost()
    }
}

impl<const D: usize> Display for InstanceNorm<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
