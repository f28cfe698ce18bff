//! What can go wrong: one variant a cause, each message with the values at fault and the way out.

use candle_core::{DType, Error as Candle, Tensor};

/// The result of an operator of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operator refused its arguments.
///
/// Converts into [`candle_core::Error`] (so `?` works inside a `Module::forward`) and back again without losing the
/// variant, through any context candle wrapped around it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has the wrong number of axes.
    #[error("{op}: {argument} must have {expected} dimensions, got shape {shape:?}")]
    Rank {
        /// The operator.
        op: &'static str,
        /// The argument at fault.
        argument: &'static str,
        /// The ranks that are accepted, in words.
        expected: &'static str,
        /// The shape that was given.
        shape: Vec<usize>,
    },
    /// A tensor has the wrong extents.
    #[error("{op}: {argument} must have shape {expected:?}, got {shape:?}")]
    Shape {
        /// The operator.
        op: &'static str,
        /// The argument at fault.
        argument: &'static str,
        /// The shape that is accepted.
        expected: Vec<usize>,
        /// The shape that was given.
        shape: Vec<usize>,
    },
    /// The operator has no kernel for this dtype.
    #[error("{op}: dtype {dtype:?} is not supported, convert to one of {supported} with `to_dtype`")]
    DType {
        /// The operator.
        op: &'static str,
        /// The dtype that was given.
        dtype: DType,
        /// The dtypes that are accepted, in words.
        supported: &'static str,
    },
    /// Two arguments must share one dtype.
    #[error("{op}: arguments must share one dtype, got {left:?} and {right:?}; convert one with `to_dtype`")]
    DTypeMismatch {
        /// The operator.
        op: &'static str,
        /// The dtype of the first argument.
        left: DType,
        /// The dtype of the other.
        right: DType,
    },
    /// A size that must be at least one is zero.
    #[error("{op}: {argument} must be positive, got {value:?}")]
    NotPositive {
        /// The operator.
        op: &'static str,
        /// The argument at fault.
        argument: &'static str,
        /// Its value, an entry an axis.
        value: Vec<usize>,
    },
    /// Pooling padding exceeds half of the kernel.
    #[error("{op}: padding (={padding}) may be at most half of kernel_size (={kernel_size})")]
    PoolPadding {
        /// The operator.
        op: &'static str,
        /// The padding on the axis at fault.
        padding: usize,
        /// The kernel size on that axis.
        kernel_size: usize,
    },
    /// The kernel, spread by its dilation, does not fit the padded input.
    #[error(
        "{op}: the kernel spans {kernel:?} (dilation counted) but the padded input is only {input:?}; \
         pad more, or use a smaller kernel or dilation"
    )]
    KernelTooLarge {
        /// The operator.
        op: &'static str,
        /// `dilation · (kernel_size − 1) + 1`, an entry an axis.
        kernel: Vec<usize>,
        /// The padded extents.
        input: Vec<usize>,
    },
    /// `groups` does not divide a channel count.
    #[error("{op}: groups (={groups}) must divide {argument} (={channels})")]
    Groups {
        /// The operator.
        op: &'static str,
        /// The number of groups.
        groups: usize,
        /// Which channel count.
        argument: &'static str,
        /// Its value.
        channels: usize,
    },
    /// The input's channels are not those the weight was made for.
    #[error("{op}: weight {weight:?} with groups (={groups}) takes {expected} input channels, got {channels}")]
    Channels {
        /// The operator.
        op: &'static str,
        /// The weight's shape.
        weight: Vec<usize>,
        /// The number of groups.
        groups: usize,
        /// The channels that the weight takes.
        expected: usize,
        /// The channels that were given.
        channels: usize,
    },
    /// `padding = same` keeps the extent, so it cannot go with a stride.
    #[error("{op}: padding 'same' needs stride 1, got {stride:?}; give the padding as numbers")]
    SameStride {
        /// The operator.
        op: &'static str,
        /// The stride that was given.
        stride: Vec<usize>,
    },
    /// More output padding than the convolution that is transposed could have left unread.
    #[error("{op}: output_padding (={output_padding}) must be less than stride (={stride}) or dilation (={dilation})")]
    OutputPadding {
        /// The operator.
        op: &'static str,
        /// The output padding on the axis at fault.
        output_padding: usize,
        /// The stride on that axis.
        stride: usize,
        /// The dilation on that axis.
        dilation: usize,
    },
    /// The padding of a transposed convolution cuts its whole output away.
    #[error("{op}: padding {padding:?} on both sides leaves nothing of an output of {output:?}; pad less")]
    NothingLeft {
        /// The operator.
        op: &'static str,
        /// The extents before the padding is cut from both sides.
        output: Vec<usize>,
        /// The padding, an entry an axis.
        padding: Vec<usize>,
    },
    /// A pooling window holds nothing but padding.
    #[error("{op}: the window at output position {position:?} holds no element of the input; pad or dilate less")]
    EmptyWindow {
        /// The operator.
        op: &'static str,
        /// The output position, an entry an axis.
        position: Vec<usize>,
    },
    /// Average pooling cannot divide by zero.
    #[error("{op}: divisor_override must not be zero")]
    ZeroDivisor {
        /// The operator.
        op: &'static str,
    },
    /// A probability outside [0, 1].
    #[error("{op}: the probability must lie between 0 and 1, got {p}")]
    Probability {
        /// The operator.
        op: &'static str,
        /// The value that was given.
        p: f64,
    },
    /// A class index that the scores do not have.
    #[error("{op}: target {target} at position {position} is out of bounds for {classes} classes")]
    TargetOutOfBounds {
        /// The operator.
        op: &'static str,
        /// The class index.
        target: i64,
        /// Its flat position in the targets.
        position: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A number that is not in the range its formula needs.
    #[error("{op}: {argument} must be {expected}, got {value}")]
    Value {
        /// The operator.
        op: &'static str,
        /// The argument at fault.
        argument: &'static str,
        /// The accepted range, in words.
        expected: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// A padding with more of the input than there is.
    #[error("{op}: {mode} padding {padding:?} may be at most {limit} on an axis of extent {extent}; pad less")]
    PaddingTooLarge {
        /// The operator.
        op: &'static str,
        /// The mode of padding.
        mode: &'static str,
        /// The padding (before, after) on the axis at fault.
        padding: (usize, usize),
        /// The largest padding that the mode has elements for.
        limit: usize,
        /// The extent of that axis.
        extent: usize,
    },
    /// An index that points outside the tensor it points into.
    #[error("{op}: index {index} at position {position:?} is out of bounds for planes of {extents:?}")]
    IndexOutOfBounds {
        /// The operator.
        op: &'static str,
        /// The index.
        index: i64,
        /// Its position in the tensor of indices, an entry an axis.
        position: Vec<usize>,
        /// The extents of what it points into.
        extents: Vec<usize>,
    },
    /// An output size that no input pooled with this stride would have had.
    #[error(
        "{op}: output_size (={output_size}) must lie strictly within stride (={stride}) of the default (={default})"
    )]
    UnpoolSize {
        /// The operator.
        op: &'static str,
        /// The output size on the axis at fault.
        output_size: usize,
        /// The stride on that axis.
        stride: usize,
        /// The size that the kernel, stride and padding give.
        default: usize,
    },
    /// More windows than an axis has places for.
    #[error(
        "{op}: output_size (={output_size}) windows of kernel_size (={kernel_size}) need an extent of at least \
         output_size + kernel_size - 1, got {extent}"
    )]
    TooManyWindows {
        /// The operator.
        op: &'static str,
        /// The output size on the axis at fault.
        output_size: usize,
        /// The kernel size on that axis.
        kernel_size: usize,
        /// The input's extent on that axis.
        extent: usize,
    },
    /// Cubic interpolation is defined over two axes.
    #[error("{op}: bicubic interpolation runs over two axes, not {axes}; use linear interpolation")]
    BicubicAxes {
        /// The operator.
        op: &'static str,
        /// The number of axes.
        axes: usize,
    },
    /// An extent that cannot be split into equal parts.
    #[error("{op}: {argument} (={value}) must be divisible by {divisor}")]
    Indivisible {
        /// The operator.
        op: &'static str,
        /// What is split.
        argument: &'static str,
        /// Its extent.
        value: usize,
        /// Into how many parts, or into parts of which extent.
        divisor: usize,
    },
    /// A derivative of higher order than an operator has.
    #[error("{op}: only the first and second derivatives are implemented, not the third")]
    DerivativeOrder {
        /// The operator.
        op: &'static str,
    },
    /// A mean and a variance need at least two values.
    #[error("{op}: expected more than 1 value per {unit} to normalise by, got input of shape {shape:?}")]
    TooFewValues {
        /// The operator.
        op: &'static str,
        /// What the values are counted in.
        unit: &'static str,
        /// The input's shape.
        shape: Vec<usize>,
    },
    /// The geometry is larger than the machine's address space.
    #[error("{op}: the size of {what} overflows; use smaller extents")]
    Overflow {
        /// The operator.
        op: &'static str,
        /// What overflowed.
        what: &'static str,
    },
    /// The operator does not run on CUDA devices.
    #[error("{op}: has no CUDA kernel; move its tensors to the CPU with `to_device(&Device::Cpu)`")]
    NoCudaKernel {
        /// The operator.
        op: &'static str,
    },
    /// The CUDA driver, or a library of CUDA, refused what it was asked.
    #[error("{op}: CUDA failed: {reason}")]
    Cuda {
        /// The operator.
        op: &'static str,
        /// What went wrong, in CUDA's words.
        reason: String,
    },
    /// What the forward pass left lies on another device than the backward pass runs on.
    #[error("{op}: the memory of another device was met; keep all tensors of a pass on one device")]
    OtherDevice {
        /// The operator.
        op: &'static str,
    },
    /// An error of candle's own.
    #[error(transparent)]
    Candle(candle_core::Error),
}

/// Refuses a tensor that is not of the expected shape.
pub(crate) fn expect_shape(
    op: &'static str,
    argument: &'static str,
    expected: &[usize],
    tensor: &Tensor,
) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(Error::Shape { op, argument, expected: expected.to_vec(), shape: tensor.dims().to_vec() })
}

/// Refuses two tensors of different dtypes.
pub(crate) fn same_dtype(op: &'static str, left: &Tensor, right: &Tensor) -> Result<()> {
    let (left, right) = (left.dtype(), right.dtype());
    if left == right { Ok(()) } else { Err(Error::DTypeMismatch { op, left, right }) }
}

/// Refuses a number that is not as `expected`.
pub(crate) fn expect(
    op: &'static str,
    argument: &'static str,
    expected: &'static str,
    value: f64,
    holds: bool,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Value { op, argument, expected, value }) }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            // `Error::wrap` would lose the type; an io::Error keeps it and prints as one line.
            error => candle_core::Error::Io(std::io::Error::other(error)),
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match error {
            Candle::Io(inner) => match inner.downcast::<Error>() {
                Ok(error) => error,
                Err(inner) => Error::Candle(Candle::Io(inner)),
            },
            Candle::WithBacktrace { inner, .. } | Candle::WithPath { inner, .. } | Candle::Context { inner, .. }
                if holds_ours(&inner) =>
            {
                (*inner).into()
            }
            error => Error::Candle(error),
        }
    }
}

fn holds_ours(error: &candle_core::Error) -> bool {
    match error {
        Candle::Io(inner) => inner.get_ref().is_some_and(|inner| inner.is::<Error>()),
        Candle::WithBacktrace { inner, .. } | Candle::WithPath { inner, .. } | Candle::Context { inner, .. } => {
            holds_ours(inner)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_survives_candle_and_its_contexts() {
        let ours = Error::Groups { op: "conv2d", groups: 3, argument: "in_channels", channels: 4 };
        let message = ours.to_string();
        assert_eq!(message, "conv2d: groups (=3) must divide in_channels (=4)");
        let candle = candle_core::Error::from(ours);
        assert_eq!(candle.to_string(), message);
        let wrapped = candle.context("while training").bt().with_path("net");
        assert!(matches!(Error::from(wrapped), Error::Groups { groups: 3, channels: 4, .. }));
    }
}
