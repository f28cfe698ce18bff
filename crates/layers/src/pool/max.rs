//! Max pooling.

use crate::observe::Observed;
use crate::parameters::{flag, number_or_tuple};
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{
    Axes, MaxPoolSpec, max_pool1d, max_pool1d_with_indices, max_pool2d, max_pool2d_with_indices, max_pool3d,
    max_pool3d_with_indices,
};

/// Max pooling over `D` axes: [`max_pool1d`], [`max_pool2d`], [`max_pool3d`].
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
pub struct MaxPool<const D: usize> {
    spec: MaxPoolSpec<D>,
}

/// Max pooling over one axis.
pub type MaxPool1d = MaxPool<1>;

/// Max pooling over two axes.
pub type MaxPool2d = MaxPool<2>;

/// Max pooling over three axes.
pub type MaxPool3d = MaxPool<3>;

impl<const D: usize> MaxPool<D> {
    /// Pooling over windows of `kernel_size` that do not overlap. For more, make it from a [`MaxPoolSpec`].
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        MaxPoolSpec::new(kernel_size).into()
    }

    /// The geometry.
    pub fn spec(&self) -> &MaxPoolSpec<D> {
        &self.spec
    }
}

impl<const D: usize> From<MaxPoolSpec<D>> for MaxPool<D> {
    fn from(spec: MaxPoolSpec<D>) -> Self {
        Self { spec }
    }
}

impl Module for MaxPool<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, max_pool1d(x, &self.spec))
    }
}

impl MaxPool<1> {
    /// The maxima and their flat places within their planes, for a [`MaxUnpool1d`](crate::MaxUnpool1d).
    ///
    /// # Errors
    /// As [`max_pool1d`].
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (y, indices) = max_pool1d_with_indices(x, &self.spec)?;
        Ok((self.report(x, Ok::<_, candle_core::Error>(y))?, indices))
    }
}

impl Module for MaxPool<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, max_pool2d(x, &self.spec))
    }
}

impl MaxPool<2> {
    /// The maxima and their flat places within their planes, for a [`MaxUnpool2d`](crate::MaxUnpool2d).
    ///
    /// # Errors
    /// As [`max_pool2d`].
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (y, indices) = max_pool2d_with_indices(x, &self.spec)?;
        Ok((self.report(x, Ok::<_, candle_core::Error>(y))?, indices))
    }
}

impl Module for MaxPool<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, max_pool3d(x, &self.spec))
    }
}

impl MaxPool<3> {
    /// The maxima and their flat places within their planes, for a [`MaxUnpool3d`](crate::MaxUnpool3d).
    ///
    /// # Errors
    /// As [`max_pool3d`].
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (y, indices) = max_pool3d_with_indices(x, &self.spec)?;
        Ok((self.report(x, Ok::<_, candle_core::Error>(y))?, indices))
    }
}

impl<const D: usize> Observed for MaxPool<D> {
    fn kind(&self) -> &str {
        ["MaxPool1d", "MaxPool2d", "MaxPool3d"][D - 1]
    }
}

impl<const D: usize> Display for MaxPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let spec = &self.spec;
        write!(
            f,
            "{}(kernel_size={}, stride={}, padding={}, dilation={}, ceil_mode={})",
            self.kind(),
            number_or_tuple(spec.kernel_size),
            number_or_tuple(spec.stride),
            number_or_tuple(spec.padding),
            number_or_tuple(spec.dilation),
            flag(spec.ceil_mode)
        )
    }
}
