//! Fractional max pooling.

use crate::Layer;
use crate::observe::Observed;
use candle_core::{Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{FractionalMaxPoolSpec, Mode, RandomSamples, fractional_max_pool2d, fractional_max_pool3d};

/// Fractional max pooling over `D` axes: [`fractional_max_pool2d`], [`fractional_max_pool3d`].
///
/// In training it draws where its windows lie, for each sample and channel. In evaluation, where nothing is random, all
/// windows are those of the number ½, so that a sample's result does not depend on its place in a batch. (PyTorch's layer
/// draws in evaluation too.)
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::{FractionalMaxPool2d, Layer};
/// use taper_ops::FractionalMaxPoolSpec;
///
/// let x = Tensor::zeros((2, 3, 9, 11), DType::F32, &Device::Cpu)?;
/// let pool = FractionalMaxPool2d::from(FractionalMaxPoolSpec::new(2, [6, 7]));
/// assert_eq!(pool.train(42, 0, 0).forward(&x)?.dims(), [2, 3, 6, 7]);
/// let pool = FractionalMaxPool2d::from(FractionalMaxPoolSpec::with_ratio(2, [0.5, 0.7]));
/// assert_eq!(pool.eval().forward(&x)?.dims(), [2, 3, 4, 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FractionalMaxPool<const D: usize> {
    spec: FractionalMaxPoolSpec<D>,
}

/// Fractional max pooling over two axes.
pub type FractionalMaxPool2d = FractionalMaxPool<2>;

/// Fractional max pooling over three axes.
pub type FractionalMaxPool3d = FractionalMaxPool<3>;

impl<const D: usize> From<FractionalMaxPoolSpec<D>> for FractionalMaxPool<D> {
    fn from(spec: FractionalMaxPoolSpec<D>) -> Self {
        const { assert!(D == 2 || D == 3, "fractional max pooling is over two or three axes") };
        Self { spec }
    }
}

impl Layer for FractionalMaxPool<2> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.report(
            x,
            match mode.draw() {
                Some(draw) => fractional_max_pool2d(x, &self.spec, RandomSamples::Draw(draw)),
                None => fractional_max_pool2d(x, &self.spec, RandomSamples::Given(&halves::<2>(x)?)),
            },
        )
    }
}

impl Layer for FractionalMaxPool<3> {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.report(
            x,
            match mode.draw() {
                Some(draw) => fractional_max_pool3d(x, &self.spec, RandomSamples::Draw(draw)),
                None => fractional_max_pool3d(x, &self.spec, RandomSamples::Given(&halves::<3>(x)?)),
            },
        )
    }
}

impl<const D: usize> Observed for FractionalMaxPool<D> {
    fn kind(&self) -> &str {
        if D == 2 { "FractionalMaxPool2d" } else { "FractionalMaxPool3d" }
    }
}

impl<const D: usize> Display for FractionalMaxPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}()", self.kind())
    }
}

/// ½ for each sample, channel and axis; the operator refuses an `x` of another rank.
fn halves<const D: usize>(x: &Tensor) -> Result<Tensor> {
    let (batch, channels) = match *x.dims() {
        [batch, channels, ..] if x.rank() == D + 2 => (batch, channels),
        [channels, ..] => (1, channels),
        [] => (1, 1),
    };
    Tensor::new(0.5, x.device())?.broadcast_as((batch, channels, D))
}
