//! Maximum unpooling.

use crate::observe::Observed;
use crate::parameters::tuple;
use candle_core::{Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, MaxUnpoolSpec, max_unpool1d, max_unpool2d, max_unpool3d};

/// Puts maxima back where they were found, over `D` axes: [`max_unpool1d`], [`max_unpool2d`], [`max_unpool3d`].
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_layers::{MaxPool1d, MaxUnpool1d};
///
/// let x = Tensor::new(&[[[1f32, 2., 4., 3.]]], &Device::Cpu)?;
/// let (y, indices) = MaxPool1d::new(2).forward_with_indices(&x)?;
/// let back = MaxUnpool1d::new(2).forward(&y, &indices)?;
/// assert_eq!(back.flatten_all()?.to_vec1::<f32>()?, [0., 2., 4., 0.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MaxUnpool<const D: usize> {
    spec: MaxUnpoolSpec<D>,
}

/// Maximum unpooling over one axis.
pub type MaxUnpool1d = MaxUnpool<1>;

/// Maximum unpooling over two axes.
pub type MaxUnpool2d = MaxUnpool<2>;

/// Maximum unpooling over three axes.
pub type MaxUnpool3d = MaxUnpool<3>;

impl<const D: usize> MaxUnpool<D> {
    /// The inverse of pooling over windows of `kernel_size` that do not overlap. For more, make it from a
    /// [`MaxUnpoolSpec`].
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        MaxUnpoolSpec::new(kernel_size).into()
    }
}

impl<const D: usize> From<MaxUnpoolSpec<D>> for MaxUnpool<D> {
    fn from(spec: MaxUnpoolSpec<D>) -> Self {
        Self { spec }
    }
}

impl MaxUnpool<1> {
    /// `x` at `indices`, zeros elsewhere.
    ///
    /// # Errors
    /// As [`max_unpool1d`].
    pub fn forward(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        self.report(x, max_unpool1d(x, indices, &self.spec))
    }
}

impl MaxUnpool<2> {
    /// `x` at `indices`, zeros elsewhere.
    ///
    /// # Errors
    /// As [`max_unpool2d`].
    pub fn forward(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        self.report(x, max_unpool2d(x, indices, &self.spec))
    }
}

impl MaxUnpool<3> {
    /// `x` at `indices`, zeros elsewhere.
    ///
    /// # Errors
    /// As [`max_unpool3d`].
    pub fn forward(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        self.report(x, max_unpool3d(x, indices, &self.spec))
    }
}

impl<const D: usize> Observed for MaxUnpool<D> {
    fn kind(&self) -> &str {
        ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"][D - 1]
    }
}

impl<const D: usize> Display for MaxUnpool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let MaxUnpoolSpec { kernel_size, stride, padding, .. } = self.spec;
        let (kernel_size, stride, padding) = (tuple(kernel_size), tuple(stride), tuple(padding));
        write!(f, "{}(kernel_size={kernel_size}, stride={stride}, padding={padding})", self.kind())
    }
}
