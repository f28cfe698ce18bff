//! What a user says of a power-average pooling.

use crate::avg_pool::AvgPoolSpec;
use crate::max_pool::MaxPoolSpec;
use crate::{Axes, Error, Result};

/// The power and the windows of a power-average pooling over `D` axes.
///
/// ```
/// use taper_ops::LpPoolSpec;
///
/// let spec = LpPoolSpec::<2>::new(2., [3, 2]).stride(2).ceil_mode(true);
/// assert_ne!(spec, LpPoolSpec::new(2., [3, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LpPoolSpec<const D: usize> {
    /// The power p.
    pub norm_type: f64,
    /// The extent of a window.
    pub kernel_size: [usize; D],
    /// The distance from one window to the next.
    pub stride: [usize; D],
    /// Whether a last window that reaches beyond the input counts too.
    pub ceil_mode: bool,
}

impl<const D: usize> LpPoolSpec<D> {
    /// The power `norm_type` over windows of `kernel_size` side by side; what the last whole window leaves over is dropped.
    pub fn new(norm_type: f64, kernel_size: impl Into<Axes<D>>) -> Self {
        let Axes(kernel_size) = kernel_size.into();
        Self { norm_type, kernel_size, stride: kernel_size, ceil_mode: false }
    }

    /// The distance from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Axes<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Whether a last window that reaches beyond the input counts too.
    #[must_use]
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        if self.norm_type > 0. || self.norm_type == f64::NEG_INFINITY {
            return Ok(());
        }
        let (argument, expected) = ("norm_type", "positive or negative infinity");
        Err(Error::Value { op, argument, expected, value: self.norm_type })
    }

    pub(super) fn averages(&self) -> AvgPoolSpec<D> {
        AvgPoolSpec::new(self.kernel_size).stride(self.stride).ceil_mode(self.ceil_mode)
    }

    pub(super) fn maxima(&self) -> MaxPoolSpec<D> {
        MaxPoolSpec::new(self.kernel_size).stride(self.stride).ceil_mode(self.ceil_mode)
    }

    /// Elements of a whole window, also where the last is clipped.
    pub(super) fn window(&self) -> f64 {
        self.kernel_size.iter().map(|&k| k as f64).product()
    }
}
