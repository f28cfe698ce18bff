//! Power-average pooling.

use crate::observe::Observed;
use crate::parameters::{flag, number_or_tuple};
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, LpPoolSpec, lp_pool1d, lp_pool2d, lp_pool3d};

/// Power-average pooling over `D` axes: [`lp_pool1d`], [`lp_pool2d`], [`lp_pool3d`].
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use taper_layers::LpPool1d;
///
/// let x = Tensor::new(&[[[3f32, 4., 5., 12.]]], &Device::Cpu)?;
/// assert_eq!(LpPool1d::new(2., 2).forward(&x)?.flatten_all()?.to_vec1::<f32>()?, [5., 13.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LpPool<const D: usize> {
    spec: LpPoolSpec<D>,
}

/// Power-average pooling over one axis.
pub type LpPool1d = LpPool<1>;

/// Power-average pooling over two axes.
pub type LpPool2d = LpPool<2>;

/// Power-average pooling over three axes.
pub type LpPool3d = LpPool<3>;

impl<const D: usize> LpPool<D> {
    /// The `norm_type`-norm of windows of `kernel_size` that do not overlap. For more, make it from an [`LpPoolSpec`].
    pub fn new(norm_type: f64, kernel_size: impl Into<Axes<D>>) -> Self {
        LpPoolSpec::new(norm_type, kernel_size).into()
    }
}

impl<const D: usize> From<LpPoolSpec<D>> for LpPool<D> {
    fn from(spec: LpPoolSpec<D>) -> Self {
        Self { spec }
    }
}

impl Module for LpPool<1> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, lp_pool1d(x, &self.spec))
    }
}

impl Module for LpPool<2> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, lp_pool2d(x, &self.spec))
    }
}

impl Module for LpPool<3> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, lp_pool3d(x, &self.spec))
    }
}

impl<const D: usize> Observed for LpPool<D> {
    fn kind(&self) -> &str {
        ["LPPool1d", "LPPool2d", "LPPool3d"][D - 1]
    }
}

impl<const D: usize> Display for LpPool<D> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let spec = &self.spec;
        write!(
            f,
            "{}(norm_type={}, kernel_size={}, stride={}, ceil_mode={})",
            self.kind(),
            spec.norm_type,
            number_or_tuple(spec.kernel_size),
            number_or_tuple(spec.stride),
            flag(spec.ceil_mode)
        )
    }
}
