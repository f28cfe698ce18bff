//! Batch normalisation layers.

use super::BatchNormConfig;
use super::channels::ChannelNorm;
use crate::observe::{Cost, Observed};
use crate::{Layer, MaxPool};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use std::fmt::{Display, Formatter};
use taper_ops::{Error, Mode, batch_norm, batch_norm_relu, batch_norm_with_statistics};

/// Batch normalisation of `[N, C, …]` with `D` axes behind the channels: in training by the batch's own statistics
/// ([`batch_norm`]), in evaluation by running ones ([`batch_norm_eval`](taper_ops::batch_norm_eval)).
///
/// Parameters `weight` `[num_features]`, 1 at first, and `bias` `[num_features]`, 0. Buffers, which a forward pass in
/// training moves: `running_mean` `[num_features]`, 0 at first; `running_var` `[num_features]`, 1, which follows the
/// unbiased variance; and the count `num_batches_tracked`, an i64. A forward pass that fails moves nothing. Without
/// running statistics evaluation is as training.
///
/// # Errors
///
/// The forward pass refuses an input of another rank or of other than `num_features` channels, in training fewer than
/// two values a channel, and what the operators refuse.
#[derive(Debug, Clone)]
pub struct BatchNorm<const D: usize>(ChannelNorm);

/// Batch normalisation of `[N, C]` or `[N, C, L]`. See [`BatchNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{BatchNorm1d, BatchNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = BatchNorm1d::new(2, BatchNormConfig::default().eps(0.), store.builder().pp("bn1"))?;
/// let x = Tensor::new(&[[1f32, 10.], [3., 30.]], &Device::Cpu)?;
/// assert_eq!(norm.train(42, 0, 0).forward(&x)?.to_vec2::<f32>()?, [[-1., -1.], [1., 1.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type BatchNorm1d = BatchNorm<1>;

/// Batch normalisation of `[N, C, H, W]`. See [`BatchNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{BatchNorm2d, BatchNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = BatchNorm2d::new(3, BatchNormConfig::default(), store.builder().pp("bn1"))?;
/// let text = "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)";
/// assert_eq!(norm.to_string(), text);
/// let x = Tensor::ones((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// norm.train(42, 0, 0).forward(&x)?;
/// assert_eq!(store.buffers()["bn1.running_mean"].to_vec1::<f32>()?, [0.1; 3]);
/// assert_eq!(norm.eval().forward(&x)?.dims(), [2, 3, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type BatchNorm2d = BatchNorm<2>;

/// Batch normalisation of `[N, C, D, H, W]`. See [`BatchNorm`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{BatchNorm3d, BatchNormConfig, Layer, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let norm = BatchNorm3d::new(3, BatchNormConfig::default().momentum(None), store.builder().pp("bn1"))?;
/// let x = Tensor::ones((2, 3, 1, 4, 5), DType::F32, &Device::Cpu)?;
/// norm.train(42, 0, 0).forward(&x)?;
/// assert_eq!(norm.running_mean().unwrap().to_vec1::<f32>()?, [1.; 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub type BatchNorm3d = BatchNorm<3>;

impl<const D: usize> BatchNorm<D> {
    const NAME: &str = ["", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"][D];

    /// A normalisation of `num_features` channels.
    ///
    /// # Errors
    /// A momentum outside [0, 1]; or `vb` refuses a parameter or a buffer.
    pub fn new(num_features: usize, config: BatchNormConfig, vb: VarBuilder<'_>) -> Result<Self> {
        const { assert!(D >= 1 && D <= 3, "normalisation is over one to three axes") };
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

    /// In training, with ReLU behind it, and max pooling where there is one.
    pub(crate) fn train_relu(&self, x: &Tensor, mode: &Mode, pool: Option<&MaxPool<D>>) -> Result<Tensor> {
        self.check(x)?;
        let fused = |x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64| {
            batch_norm_relu(x, weight, bias, eps, pool.map(MaxPool::spec))
        };
        self.0.forward(x, mode, |x, weight, bias, eps| Ok(fused(x, weight, bias, eps)?.0), fused)
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        if x.rank() != D + 2 && (D, x.rank()) != (1, 2) {
            let expected = ["", "2 or 3", "4", "5"][D];
            let (op, shape) = (Self::NAME, x.dims().to_vec());
            return Err(Error::Rank { op, argument: "input", expected, shape }.into());
        }
        Ok(self.0.expect_channels(x, 1)?)
    }
}

impl<const D: usize> Layer for BatchNorm<D> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let normalised = self.check(x).and_then(|()| self.0.forward(x, mode, batch_norm, batch_norm_with_statistics));
        self.report(x, normalised)
    }
}

impl<const D: usize> Observed for BatchNorm<D> {
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

impl<const D: usize> Display for BatchNorm<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
