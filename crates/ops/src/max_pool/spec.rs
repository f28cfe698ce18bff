//! What a user says of a maximum pooling, and the geometry that follows from it.

use crate::window::{PoolDims, WindowSpec};
use crate::{Axes, Result};

/// The windows of a maximum pooling over `D` axes; every number is one for all axes or one for each.
///
/// ```
/// use taper_ops::MaxPoolSpec;
///
/// let spec = MaxPoolSpec::<2>::new([3, 2]).stride(2).padding([1, 0]).dilation(1).ceil_mode(true);
/// assert_ne!(spec, MaxPoolSpec::new([3, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPoolSpec<const D: usize> {
    /// The extent of a window.
    pub kernel_size: [usize; D],
    /// The distance from one window to the next.
    pub stride: [usize; D],
    /// Positions added on both sides of each axis.
    pub padding: [usize; D],
    /// The distance between the elements of one window.
    pub dilation: [usize; D],
    /// Whether a last window that reaches beyond the padded input counts too.
    pub ceil_mode: bool,
}

impl<const D: usize> MaxPoolSpec<D> {
    /// Windows of `kernel_size` side by side: the stride is the kernel size, there is no padding and no dilation, and
    /// what the last whole window leaves over is dropped.
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        let Axes(kernel_size) = kernel_size.into();
        Self { kernel_size, stride: kernel_size, padding: [0; D], dilation: [1; D], ceil_mode: false }
    }

    /// The distance from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Axes<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Positions added on both sides of each axis, which never win; at most half of the kernel size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Axes<D>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// The distance between the elements of one window.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Axes<D>>) -> Self {
        self.dilation = dilation.into().0;
        self
    }

    /// Whether a last window that reaches beyond the padded input counts too, provided it starts before the padding on
    /// the right.
    #[must_use]
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    pub(crate) fn dims(&self, op: &'static str, shape: &[usize]) -> Result<PoolDims> {
        let Self { kernel_size, stride, padding, dilation, ceil_mode } = *self;
        WindowSpec { kernel_size, stride, padding, dilation, ceil_mode }.dims(op, shape)
    }
}
