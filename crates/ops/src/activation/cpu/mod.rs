//! The activations as functions of one number, and their derivatives.
//!
//! They are written as selections rather than branches where they can be, and with `exp(−|x|)`, which cannot overflow, so
//! that both tails keep their digits. At ±∞ they have their limits.

pub(super) mod gates;
pub(crate) mod piecewise;
pub(crate) mod smooth;

/// An exponential, in simple operations.
const EXP: usize = 16;
