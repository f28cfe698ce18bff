//! The one-line use.

use crate::GradCheck;
use crate::error::Result;
use candle_core::Tensor;

/// Asserts in a test that a function's gradients are right: [`GradCheck::check`] and
/// [`Report::assert_passed`](crate::Report::assert_passed) in one line.
///
/// The closure takes as many arguments as there are inputs, each a `&Tensor`; options of [`GradCheck`] follow.
///
/// # Panics
/// Where an assertion does not hold, with the report as the message, or where the check cannot be carried out.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::assert_gradients;
///
/// let x = Tensor::new(&[[1f64, 2.], [3., 4.]], &Device::Cpu)?;
/// let w = Tensor::new(&[[0.5f64], [-1.]], &Device::Cpu)?;
/// assert_gradients!(|x| x.tanh(), [x]);
/// assert_gradients!(|x, w| x.matmul(w), [x, w], linear_in([0, 1]), seed(7));
/// # Ok::<(), candle_core::Error>(())
/// ```
#[macro_export]
macro_rules! assert_gradients {
    (|$($argument:ident),+ $(,)?| $body:expr, [$($input:expr),+ $(,)?] $(, $option:ident($($value:expr),*))* $(,)?) => {
        $crate::assert_gradients_of(
            $crate::GradCheck::new(stringify!($body))
                .input_names([$(stringify!($argument)),+])
                $(.$option($($value),*))*,
            |[$($argument),+]: &[_; _]| $body,
            [$($input.clone()),+],
        )
    };
}

/// What [`assert_gradients!`] expands to; an array of inputs, so that the compiler counts them.
#[doc(hidden)]
#[allow(clippy::panic, reason = "it exists to fail a test, as assert! does")]
#[track_caller]
pub fn assert_gradients_of<const N: usize, E: Into<candle_core::Error>>(
    check: GradCheck,
    f: impl Fn(&[Tensor; N]) -> Result<Tensor, E>,
    inputs: [Tensor; N],
) {
    let call = |arguments: &[Tensor]| match arguments.try_into() {
        Ok(arguments) => f(arguments).map_err(Into::into),
        Err(_) => Err(candle_core::Error::msg("the checker passes on as many inputs as it was given")),
    };
    match check.check(call, &inputs) {
        Ok(report) => report.assert_passed(),
        Err(error) => panic!("{error}"),
    }
}
