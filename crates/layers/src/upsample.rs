//! Layers that resample, and that trade channels for positions.

use crate::observe::Observed;
use crate::parameters::tuple;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{InterpolateMode, Resize, interpolate1d, interpolate2d, interpolate3d, pixel_shuffle, pixel_unshuffle};

/// Resampling of the last `D` axes: [`interpolate1d`], [`interpolate2d`], [`interpolate3d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::Upsample2d;
/// use taper_ops::InterpolateMode;
///
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// let double = Upsample2d::new(2., InterpolateMode::Nearest);
/// assert_eq!(double.to_string(), "Upsample(scale_factor=2.0, mode='nearest')");
/// assert_eq!(double.forward(&x)?.dims(), [2, 3, 8, 10]);
/// let smooth = Upsample2d::new([7, 6], InterpolateMode::Bicubic { align_corners: false });
/// assert_eq!(smooth.to_string(), "Upsample(size=(7, 6), mode='bicubic')");
/// assert_eq!(smooth.forward(&x)?.dims(), [2, 3, 7, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upsample<const D: usize> {
    size: Resize<D>,
    mode: InterpolateMode,
}

/// Resampling of the last axis. See [`Upsample`].
pub type Upsample1d = Upsample<1>;
/// Resampling of every plane. See [`Upsample`].
pub type Upsample2d = Upsample<2>;
/// Resampling of every volume. See [`Upsample`].
pub type Upsample3d = Upsample<3>;

impl<const D: usize> Upsample<D> {
    /// Resampling to the extents, or by the factors, of `size`.
    pub fn new(size: impl Into<Resize<D>>, mode: InterpolateMode) -> Self {
        Self { size: size.into(), mode }
    }
}

impl Module for Upsample<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, interpolate1d(x, self.size, self.mode))
    }
}

impl Module for Upsample<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, interpolate2d(x, self.size, self.mode))
    }
}

impl Module for Upsample<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, interpolate3d(x, self.size, self.mode))
    }
}

impl<const D: usize> Observed for Upsample<D> {
    fn kind(&self) -> &str {
        "Upsample"
    }
}

impl<const D: usize> Display for Upsample<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mode = match self.mode {
            InterpolateMode::Nearest => "nearest",
            InterpolateMode::NearestExact => "nearest-exact",
            InterpolateMode::Linear { .. } => ["", "linear", "bilinear", "trilinear"][D],
            InterpolateMode::Bicubic { .. } => "bicubic",
        };
        let size = match self.size {
            Resize::Size(size) => format!("size={}", tuple(size)),
            Resize::ScaleFactor(factors) if self.size == factors[0].into() => {
                format!("scale_factor={:?}", factors[0])
            }
            Resize::ScaleFactor(factors) => format!("scale_factor={}", tuple(factors)),
        };
        write!(f, "Upsample({size}, mode='{mode}')")
    }
}

/// Each square of channels laid out as a square of positions: [`pixel_shuffle`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::PixelShuffle;
///
/// let x = Tensor::zeros((2, 12, 4, 5), DType::F32, &Device::Cpu)?;
/// let shuffle = PixelShuffle { upscale_factor: 2 };
/// assert_eq!(shuffle.to_string(), "PixelShuffle(upscale_factor=2)");
/// assert_eq!(shuffle.forward(&x)?.dims(), [2, 3, 8, 10]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelShuffle {
    /// What height and width are multiplied by.
    pub upscale_factor: usize,
}

impl Module for PixelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, pixel_shuffle(x, self.upscale_factor))
    }
}

impl Observed for PixelShuffle {
    fn kind(&self) -> &str {
        "PixelShuffle"
    }
}

impl Display for PixelShuffle {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "PixelShuffle(upscale_factor={})", self.upscale_factor)
    }
}

/// Each square of positions laid out as a square of channels: [`pixel_unshuffle`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::PixelUnshuffle;
///
/// let x = Tensor::zeros((2, 3, 8, 10), DType::F32, &Device::Cpu)?;
/// let unshuffle = PixelUnshuffle { downscale_factor: 2 };
/// assert_eq!(unshuffle.to_string(), "PixelUnshuffle(downscale_factor=2)");
/// assert_eq!(unshuffle.forward(&x)?.dims(), [2, 12, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelUnshuffle {
    /// What height and width are divided by.
    pub downscale_factor: usize,
}

impl Module for PixelUnshuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, pixel_unshuffle(x, self.downscale_factor))
    }
}

impl Observed for PixelUnshuffle {
    fn kind(&self) -> &str {
        "PixelUnshuffle"
    }
}

impl Display for PixelUnshuffle {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "PixelUnshuffle(downscale_factor={})", self.downscale_factor)
    }
}
