//! Why a check could not be carried out at all. A wrong gradient is no error: it is a [`Report`](crate::Report).

/// The result of a check: a report, or why there is none.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a check could not be carried out.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::{Error, GradCheck};
///
/// let labels = Tensor::new(&[0u32, 1], &Device::Cpu)?;
/// let refused = GradCheck::new("relu").check(|x: &[Tensor]| x[0].relu(), &[labels]);
/// assert!(matches!(refused, Err(Error::NothingToCheck { .. })));
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The function itself failed on inputs at or near those that were given.
    #[error("{name}: the function failed: {source}")]
    Function {
        /// The name of the check.
        name: String,
        /// What the function returned.
        source: candle_core::Error,
    },
    /// No input is of a floating-point dtype, or all of them were declared constant.
    #[error("{name}: no input to differentiate by: give a floating-point tensor that is not declared constant")]
    NothingToCheck {
        /// The name of the check.
        name: String,
    },
    /// An option names an input that was not given.
    #[error("{name}: `{option}` names input {input}, but there are {inputs} inputs, counted from 0")]
    NoSuchInput {
        /// The name of the check.
        name: String,
        /// The option.
        option: &'static str,
        /// The number it named.
        input: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// The function's value is not a floating-point tensor of the dtype that is checked.
    #[error(
        "{name}: the function returned {found:?} for inputs of {expected:?}; its result must be of the inputs' dtype"
    )]
    OutputDType {
        /// The name of the check.
        name: String,
        /// The dtype of the inputs.
        expected: candle_core::DType,
        /// The dtype of the result.
        found: candle_core::DType,
    },
    /// The function is not finite at the inputs, where no derivative can be measured.
    #[error("{name}: the function's value at {index:?} is {value}; choose inputs where it is finite")]
    NotFinite {
        /// The name of the check.
        name: String,
        /// Where in the output.
        index: Vec<usize>,
        /// The value there.
        value: f64,
    },
    /// Gradients are checked in float64 or float32 alone.
    #[error("{name}: cannot check in {dtype:?}; use F64, or F32 for a function that takes nothing else")]
    UnsupportedDType {
        /// The name of the check.
        name: String,
        /// The dtype that was asked for.
        dtype: candle_core::DType,
    },
    /// An error of candle's own in the checker's bookkeeping.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
