//! Pooling layers.

use crate::observe::Observed;
use crate::parameters::{flag, number_or_tuple};
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{AvgPoolSpec, Axes, MaxPoolSpec, avg_pool2d, max_pool2d};

/// Two-dimensional max pooling: [`max_pool2d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::MaxPool2d;
/// use taper_ops::MaxPoolSpec;
///
/// let x = Tensor::zeros((2, 3, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(MaxPool2d::new(2).forward(&x)?.dims(), [2, 3, 3, 3]);
/// let overlapping = MaxPool2d::from(MaxPoolSpec::new([3, 2]).stride([2, 1]).padding(1));
/// assert_eq!(overlapping.forward(&x)?.dims(), [2, 3, 4, 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MaxPool2d {
    spec: MaxPoolSpec<2>,
}

impl MaxPool2d {
    /// Pooling over windows of `kernel_size` that do not overlap. For more, make it from a [`MaxPoolSpec`].
    pub fn new(kernel_size: impl Into<Axes<2>>) -> Self {
        MaxPoolSpec::new(kernel_size).into()
    }
}

impl From<MaxPoolSpec<2>> for MaxPool2d {
    fn from(spec: MaxPoolSpec<2>) -> Self {
        Self { spec }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, max_pool2d(x, &self.spec))
    }
}

impl Observed for MaxPool2d {
    fn kind(&self) -> &str {
        "MaxPool2d"
    }
}

impl Display for MaxPool2d {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let spec = &self.spec;
        write!(
            f,
            "MaxPool2d(kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={})",
            number_or_tuple(spec.kernel_size),
            number_or_tuple(spec.stride),
            number_or_tuple(spec.padding),
            number_or_tuple(spec.dilation),
            flag(spec.ceil_mode)
        )
    }
}

/// Two-dimensional average pooling: [`avg_pool2d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::AvgPool2d;
/// use taper_ops::AvgPoolSpec;
///
/// let x = Tensor::zeros((2, 3, 7, 6), DType::F32, &Device::Cpu)?;
/// assert_eq!(AvgPool2d::new([3, 2]).forward(&x)?.dims(), [2, 3, 2, 3]);
/// let ceil = AvgPool2d::from(AvgPoolSpec::new([3, 2]).ceil_mode(true));
/// assert_eq!(ceil.forward(&x)?.dims(), [2, 3, 3, 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AvgPool2d {
    spec: AvgPoolSpec<2>,
}

impl AvgPool2d {
    /// Pooling over windows of `kernel_size` that do not overlap. For more, make it from an [`AvgPoolSpec`].
    pub fn new(kernel_size: impl Into<Axes<2>>) -> Self {
        AvgPoolSpec::new(kernel_size).into()
    }
}

impl From<AvgPoolSpec<2>> for AvgPool2d {
    fn from(spec: AvgPoolSpec<2>) -> Self {
        Self { spec }
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, avg_pool2d(x, &self.spec))
    }
}

impl Observed for AvgPool2d {
    fn kind(&self) -> &str {
        "AvgPool2d"
    }
}

impl Display for AvgPool2d {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let spec = &self.spec;
        write!(
            f,
            "AvgPool2d(kernel_size={}, stride={}, padding={})",
            number_or_tuple(spec.kernel_size),
            number_or_tuple(spec.stride),
            number_or_tuple(spec.padding)
        )
    }
}
