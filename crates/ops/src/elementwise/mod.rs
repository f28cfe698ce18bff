//! Functions applied element by element, of one tensor and of two: what the activations and the losses share.
//!
//! A function is a few numbers and the formulas of its value and derivatives ([`Unary`], [`Binary`]); the passes over
//! memory ([`cpu`], [`cuda`]) and the operators ([`autograd`]) are written once. A gradient is one pass, `dx = dy · f′(x)`, and it
//! is tracked itself, with f″ as its derivative.

mod autograd;
mod cpu;
mod cuda;

pub(crate) use autograd::{Map, Zip};
pub(crate) use cpu::map_in_place;
pub(crate) use cuda::{Call, OnDevice};

use crate::storage::Element;

/// A function of one number.
pub(crate) trait Unary: Clone + Send + Sync + 'static {
    /// The work of one value, in simple operations.
    const COST: usize;

    /// The highest derivative that is not zero wherever it exists: 1 where the pieces are lines. Beyond it the argument
    /// takes no part in the graph.
    const DEGREE: usize = usize::MAX;

    /// Whether the slope may be taken at the value instead of at the argument: a tensor that the next operator's gradient
    /// reads too. Only where the pieces are lines.
    const SLOPE_OF_VALUE: bool = false;

    /// The operator's name, for error messages.
    fn name(&self) -> &'static str;

    /// f(x).
    fn value<T: Element>(&self, x: T) -> T;

    /// f′(x); at a kink what PyTorch takes for it.
    fn slope<T: Element>(&self, x: T) -> T;

    /// f″(x); called only where `DEGREE` is at least 2.
    fn curvature<T: Element>(&self, _x: T) -> T {
        T::zero()
    }
}

/// A function of a number of each of two tensors of one shape; `at` is their flat position, for functions that are weighted.
pub(crate) trait Binary: Clone + Send + Sync + 'static {
    /// The work of one value, in simple operations.
    const COST: usize;

    /// The operator's name, for error messages.
    fn name(&self) -> &'static str;

    /// f(a, b).
    fn value<T: Element>(&self, at: usize, a: T, b: T) -> T;

    /// A partial derivative at (a, b).
    fn partial<T: Element>(&self, by: By, at: usize, a: T, b: T) -> T;
}

/// Which partial derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    A,
    B,
    AA,
    AB,
    BB,
}

/// `x · factor`, and 0 where the factor is, also at an infinite or undefined `x`: the limit where a gate closes faster than
/// its argument grows.
#[inline(always)]
pub(crate) fn times<T: Element>(x: T, factor: T) -> T {
    if factor == T::zero() { T::zero() } else { x * factor }
}
