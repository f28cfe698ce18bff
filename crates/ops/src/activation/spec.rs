//! What an activation's numbers must be.

use crate::Result;
use crate::error::expect;

/// Refuses a `value` that is infinite or NaN.
pub(super) fn finite(op: &'static str, argument: &'static str, value: f64) -> Result<()> {
    expect(op, argument, "finite", value, value.is_finite())
}

/// Refuses a `lambda` that moves nothing towards zero.
pub(super) fn shrinks(op: &'static str, lambda: f64) -> Result<()> {
    expect(op, "lambda", "finite and not negative", lambda, lambda.is_finite() && lambda >= 0.)
}
