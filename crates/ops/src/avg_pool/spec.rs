//! What a user says of an average pooling, and the geometry that follows from it.

use crate::window::{PoolDims, WindowSpec};
use crate::{Axes, Error, Result};

/// The windows and divisors of an average pooling over `D` axes; every number of the windows is one for all axes or one
/// for each.
///
/// ```
/// use taper_ops::AvgPoolSpec;
///
/// let spec = AvgPoolSpec::<2>::new([3, 2]).stride(2).padding([1, 0]).count_include_pad(false);
/// assert_ne!(spec, AvgPoolSpec::new([3, 2]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AvgPoolSpec<const D: usize> {
    /// The extent of a window.
    pub kernel_size: [usize; D],
    /// The distance from one window to the next.
    pub stride: [usize; D],
    /// Zeros added on both sides of each axis.
    pub padding: [usize; D],
    /// Whether a last window that reaches beyond the padded input counts too.
    pub ceil_mode: bool,
    /// Whether the divisor counts the padding.
    pub count_include_pad: bool,
    /// A divisor for all windows in place of the count.
    pub divisor_override: Option<i64>,
}

/// What the sum of a window is divided by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Divisor {
    /// This number.
    Fixed(i64),
    /// The positions of the window within the padded input.
    Padded,
    /// The positions of the window within the input.
    Valid,
}

impl<const D: usize> AvgPoolSpec<D> {
    /// Windows of `kernel_size` side by side: the stride is the kernel size, there is no padding, what the last whole
    /// window leaves over is dropped, and padding, once there is any, counts as zeros.
    pub fn new(kernel_size: impl Into<Axes<D>>) -> Self {
        let Axes(kernel_size) = kernel_size.into();
        Self {
            kernel_size,
            stride: kernel_size,
            padding: [0; D],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// The distance from one window to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<Axes<D>>) -> Self {
        self.stride = stride.into().0;
        self
    }

    /// Zeros added on both sides of each axis; at most half of the kernel size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Axes<D>>) -> Self {
        self.padding = padding.into().0;
        self
    }

    /// Whether a last window that reaches beyond the padded input counts too, provided it starts before the padding on
    /// the right. What lies beyond the padding is not counted by the divisor.
    #[must_use]
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Whether the divisor counts the padding.
    #[must_use]
    pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }

    /// A divisor for all windows in place of the count; not zero.
    #[must_use]
    pub fn divisor_override(mut self, divisor: Option<i64>) -> Self {
        self.divisor_override = divisor;
        self
    }

    pub(crate) fn dims(&self, op: &'static str, shape: &[usize]) -> Result<(PoolDims, Divisor)> {
        let divisor = match self.divisor_override {
            Some(0) => return Err(Error::ZeroDivisor { op }),
            Some(divisor) => Divisor::Fixed(divisor),
            None if self.count_include_pad => Divisor::Padded,
            None => Divisor::Valid,
        };
        let Self { kernel_size, stride, padding, ceil_mode, .. } = *self;
        let window = WindowSpec { kernel_size, stride, padding, dilation: [1; D], ceil_mode };
        Ok((window.dims(op, shape)?, divisor))
    }
}
