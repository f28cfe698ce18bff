//! Adaptive pooling.

use crate::observe::Observed;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{
    OutputSize, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d,
    adaptive_max_pool2d, adaptive_max_pool3d,
};

/// Adaptive average pooling over `D` axes: [`adaptive_avg_pool1d`], [`adaptive_avg_pool2d`],
/// [`adaptive_avg_pool3d`]. To size 1 it is global average pooling.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::AdaptiveAvgPool2d;
///
/// let x = Tensor::zeros((2, 3, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(AdaptiveAvgPool2d::new(1).forward(&x)?.dims(), [2, 3, 1, 1]);
/// assert_eq!(AdaptiveAvgPool2d::new([Some(3), None]).forward(&x)?.dims(), [2, 3, 3, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveAvgPool<const D: usize> {
    output_size: OutputSize<D>,
}

/// Adaptive average pooling over one axis.
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;

/// Adaptive average pooling over two axes.
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;

/// Adaptive average pooling over three axes.
pub type AdaptiveAvgPool3d = AdaptiveAvgPool<3>;

impl<const D: usize> AdaptiveAvgPool<D> {
    /// Pooling to `output_size`, where `None` keeps the input's extent.
    pub fn new(output_size: impl Into<OutputSize<D>>) -> Self {
        Self { output_size: output_size.into() }
    }
}

impl Module for AdaptiveAvgPool<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_avg_pool1d(x, self.output_size))
    }
}

impl Module for AdaptiveAvgPool<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_avg_pool2d(x, self.output_size))
    }
}

impl Module for AdaptiveAvgPool<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_avg_pool3d(x, self.output_size))
    }
}

impl<const D: usize> Observed for AdaptiveAvgPool<D> {
    fn kind(&self) -> &str {
        ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"][D - 1]
    }
}

impl<const D: usize> Display for AdaptiveAvgPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(output_size={})", self.kind(), extents(self.output_size))
    }
}

/// Adaptive maximum pooling over `D` axes: [`adaptive_max_pool1d`], [`adaptive_max_pool2d`],
/// [`adaptive_max_pool3d`]. To size 1 it is global maximum pooling.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::AdaptiveMaxPool2d;
///
/// let x = Tensor::zeros((2, 3, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(AdaptiveMaxPool2d::new(1).forward(&x)?.dims(), [2, 3, 1, 1]);
/// assert_eq!(AdaptiveMaxPool2d::new([Some(3), None]).forward(&x)?.dims(), [2, 3, 3, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveMaxPool<const D: usize> {
    output_size: OutputSize<D>,
}

/// Adaptive maximum pooling over one axis.
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;

/// Adaptive maximum pooling over two axes.
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;

/// Adaptive maximum pooling over three axes.
pub type AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

impl<const D: usize> AdaptiveMaxPool<D> {
    /// Pooling to `output_size`, where `None` keeps the input's extent.
    pub fn new(output_size: impl Into<OutputSize<D>>) -> Self {
        Self { output_size: output_size.into() }
    }
}

impl Module for AdaptiveMaxPool<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_max_pool1d(x, self.output_size))
    }
}

impl Module for AdaptiveMaxPool<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_max_pool2d(x, self.output_size))
    }
}

impl Module for AdaptiveMaxPool<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, adaptive_max_pool3d(x, self.output_size))
    }
}

impl<const D: usize> Observed for AdaptiveMaxPool<D> {
    fn kind(&self) -> &str {
        ["AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d"][D - 1]
    }
}

impl<const D: usize> Display for AdaptiveMaxPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}(output_size={})", self.kind(), extents(self.output_size))
    }
}

/// `7` for equal extents, else `(7, None)`.
fn extents<const D: usize>(OutputSize(extents): OutputSize<D>) -> String {
    let extent = |extent: &Option<usize>| extent.map_or_else(|| "None".to_string(), |extent| extent.to_string());
    match extents.first() {
        Some(first) if extents.iter().all(|other| other == first) => extent(first),
        _ => format!("({})", extents.iter().map(extent).collect::<Vec<_>>().join(", ")),
    }
}
