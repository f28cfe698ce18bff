//! The formulas, an element at a time: a term, the sum of all terms along the classes, and the value that follows from it.

use crate::storage::Element;

pub(super) trait Formula<T>: Copy + Default + Sync {
    /// Whether terms need the largest element; else `max` means nothing.
    const MAX: bool;

    fn term(self, a: T, b: T, max: T) -> T;

    /// What the values need of the sum.
    fn of_sum(self, sum: f64) -> T;

    fn value(self, a: T, b: T, max: T, sum: T, term: T) -> T;
}

/// a is x.
#[derive(Clone, Copy, Default)]
pub(super) struct Softmax;

/// a is x.
#[derive(Clone, Copy, Default)]
pub(super) struct LogSoftmax;

/// a is y, b is dy.
#[derive(Clone, Copy, Default)]
pub(super) struct SoftmaxGrad;

/// a is y, b is dy.
#[derive(Clone, Copy, Default)]
pub(super) struct LogSoftmaxGrad;

impl<T: Element> Formula<T> for Softmax {
    const MAX: bool = true;

    #[inline(always)]
    fn term(self, x: T, _: T, max: T) -> T {
        (x - max).vexp()
    }

    #[inline(always)]
    fn of_sum(self, sum: f64) -> T {
        T::from_f64(sum)
    }

    #[inline(always)]
    fn value(self, _: T, _: T, _: T, sum: T, term: T) -> T {
        term / sum
    }
}

impl<T: Element> Formula<T> for LogSoftmax {
    const MAX: bool = true;

    #[inline(always)]
    fn term(self, x: T, _: T, max: T) -> T {
        (x - max).vexp()
    }

    #[inline(always)]
    fn of_sum(self, sum: f64) -> T {
        T::from_f64(sum.ln())
    }

    #[inline(always)]
    fn value(self, x: T, _: T, max: T, log_sum: T, _: T) -> T {
        (x - max) - log_sum
    }
}

impl<T: Element> Formula<T> for SoftmaxGrad {
    const MAX: bool = false;

    #[inline(always)]
    fn term(self, y: T, dy: T, _: T) -> T {
        y * dy
    }

    #[inline(always)]
    fn of_sum(self, sum: f64) -> T {
        T::from_f64(sum)
    }

    #[inline(always)]
    fn value(self, y: T, dy: T, _: T, sum: T, _: T) -> T {
        y * (dy - sum)
    }
}

impl<T: Element> Formula<T> for LogSoftmaxGrad {
    const MAX: bool = false;

    #[inline(always)]
    fn term(self, _: T, dy: T, _: T) -> T {
        dy
    }

    #[inline(always)]
    fn of_sum(self, sum: f64) -> T {
        T::from_f64(sum)
    }

    #[inline(always)]
    fn value(self, y: T, dy: T, _: T, sum: T, _: T) -> T {
        dy - y.vexp() * sum
    }
}
