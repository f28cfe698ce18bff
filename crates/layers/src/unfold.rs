//! Layers between images and the columns of their windows.

use crate::observe::Observed;
use crate::parameters::number_or_tuple;
use candle_core::{Module, Result, Tensor};
use std::fmt::{Display, Formatter};
use taper_ops::{Axes, UnfoldSpec, fold2d, unfold2d};

/// Every window of an image as a column: [`unfold2d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::Unfold;
/// use taper_ops::UnfoldSpec;
///
/// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(Unfold::new(2).forward(&x)?.dims(), [2, 12, 12]);
/// let unfold = Unfold::from(UnfoldSpec::new([2, 3]).stride(2));
/// assert_eq!(unfold.to_string(), "Unfold(kernel_size=(2, 3), dilation=1, padding=0, stride=2)");
/// assert_eq!(unfold.forward(&x)?.dims(), [2, 18, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfold {
    spec: UnfoldSpec,
}

impl Unfold {
    /// Windows of `kernel_size` at every position. For more, make it from an [`UnfoldSpec`].
    pub fn new(kernel_size: impl Into<Axes<2>>) -> Self {
        UnfoldSpec::new(kernel_size).into()
    }
}

impl From<UnfoldSpec> for Unfold {
    fn from(spec: UnfoldSpec) -> Self {
        Self { spec }
    }
}

impl Module for Unfold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, unfold2d(x, &self.spec))
    }
}

impl Observed for Unfold {
    fn kind(&self) -> &str {
        "Unfold"
    }
}

impl Display for Unfold {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unfold(")?;
        windows(f, &self.spec)
    }
}

/// Columns put back into an image of one size, adding where windows overlap: [`fold2d`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use taper_layers::Fold;
/// use taper_ops::UnfoldSpec;
///
/// let fold = Fold::new([4, 5], UnfoldSpec::new([2, 3]).stride(2));
/// assert_eq!(
///     fold.to_string(),
///     "Fold(output_size=(4, 5), kernel_size=(2, 3), dilation=1, padding=0, stride=2)"
/// );
/// let columns = Tensor::zeros((2, 18, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(fold.forward(&columns)?.dims(), [2, 3, 4, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    output_size: [usize; 2],
    spec: UnfoldSpec,
}

impl Fold {
    /// Images of (height, width) `output_size` from the columns of the windows of `spec`.
    pub fn new(output_size: impl Into<Axes<2>>, spec: UnfoldSpec) -> Self {
        Self { output_size: output_size.into().0, spec }
    }
}

impl Module for Fold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.report(x, fold2d(x, self.output_size, &self.spec))
    }
}

impl Observed for Fold {
    fn kind(&self) -> &str {
        "Fold"
    }
}

impl Display for Fold {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fold(output_size={}, ", number_or_tuple(self.output_size))?;
        windows(f, &self.spec)
    }
}

fn windows(f: &mut Formatter<'_>, spec: &UnfoldSpec) -> std::fmt::Result {
    let UnfoldSpec { kernel_size, dilation, padding, stride } = spec;
    let [kernel_size, dilation, padding, stride] =
        [kernel_size, dilation, padding, stride].map(|n| number_or_tuple(*n));
    write!(f, "kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride})")
}
