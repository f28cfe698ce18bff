//! Average pooling.

use crate::observe::Observed;
use crate::parameters::{number_or_tuple, tuple};
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{AvgPoolSpec, Axes, avg_pool1d, avg_pool2d, avg_pool3d};

/// Average pooling over `D` axes: [`avg_pool1d`], [`avg_pool2d`], [`avg_pool3d`].
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
pub struct AvgPool<const D: usize> {
    spec: AvgPoolSpec<D>,
}

/// Average pooling over one axis.
pub type AvgPool1d = AvgPool<1>;

/// Average pooling over two axes.
pub type AvgPool2d = AvgPool<2>;

/// Average pooling over three axes.
pub type AvgPool3d = AvgPool<3>;

impl<const D: usize> AvgPool<D> {
    /// Pooling over windows of `kernel_size` that do not overlap. For more, make it from an [`AvgPoolSpec`].
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        AvgPoolSpec::new(kernel_size).into()
    }
}

impl<const D: usize> From<AvgPoolSpec<D>> for AvgPool<D> {
    fn from(spec: AvgPoolSpec<D>) -> Self {
        Self { spec }
    }
}

impl Module for AvgPool<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, avg_pool1d(x, &self.spec))
    }
}

impl Module for AvgPool<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, avg_pool2d(x, &self.spec))
    }
}

impl Module for AvgPool<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, avg_pool3d(x, &self.spec))
    }
}

impl<const D: usize> Observed for AvgPool<D> {
    fn kind(&self) -> &str {
        ["AvgPool1d", "AvgPool2d", "AvgPool3d"][D - 1]
    }
}

impl<const D: usize> Display for AvgPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let AvgPoolSpec { kernel_size, stride, padding, .. } = self.spec;
        // PyTorch prints the one axis as a tuple, here and not for max pooling.
        let numbers = |numbers| if D == 1 { tuple(numbers) } else { number_or_tuple(numbers) };
        let (kernel_size, stride, padding) = (numbers(kernel_size), numbers(stride), numbers(padding));
        write!(f, "{}(kernel_size={kernel_size}, stride={stride}, padding={padding})", self.kind())
    }
}
