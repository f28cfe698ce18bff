//! Functions whose pieces are polynomials. At a kink the slope is the one that PyTorch takes.

use crate::elementwise::{Unary, times};
use crate::storage::Element;

/// max(x, 0).
#[derive(Debug, Clone)]
pub(crate) struct Relu;

impl Unary for Relu {
    const COST: usize = 1;
    const DEGREE: usize = 1;
    const SLOPE_OF_VALUE: bool = true;

    fn name(&self) -> &'static str {
        "relu"
    }

    fn value<T: Element>(&self, x: T) -> T {
        // Written so that NaN, which compares false, stays.
        if x <= T::zero() { T::zero() } else { x }
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if x <= T::zero() { T::zero() } else { T::one() }
    }
}

/// x where it is positive, else slope · x.
#[derive(Debug, Clone)]
pub(in crate::activation) struct LeakyRelu {
    pub(in crate::activation) negative_slope: f64,
}

impl Unary for LeakyRelu {
    const COST: usize = 1;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn value<T: Element>(&self, x: T) -> T {
        if x > T::zero() { x } else { times(x, T::from_f64(self.negative_slope)) }
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if x > T::zero() { T::one() } else { T::from_f64(self.negative_slope) }
    }
}

/// x above the threshold, else another value.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Threshold {
    pub(in crate::activation) threshold: f64,
    pub(in crate::activation) value: f64,
}

impl Unary for Threshold {
    const COST: usize = 1;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        "threshold"
    }

    fn value<T: Element>(&self, x: T) -> T {
        if x <= T::from_f64(self.threshold) { T::from_f64(self.value) } else { x }
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if x <= T::from_f64(self.threshold) { T::zero() } else { T::one() }
    }
}

/// x, held between two bounds.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Hardtanh {
    pub(in crate::activation) name: &'static str,
    pub(in crate::activation) min: f64,
    pub(in crate::activation) max: f64,
}

impl Unary for Hardtanh {
    const COST: usize = 1;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        self.name
    }

    fn value<T: Element>(&self, x: T) -> T {
        clamp(x, T::from_f64(self.min), T::from_f64(self.max))
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if within(x, T::from_f64(self.min), T::from_f64(self.max)) { T::one() } else { T::zero() }
    }
}

/// x / 6 + 1 / 2, held between 0 and 1.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Hardsigmoid;

impl Unary for Hardsigmoid {
    const COST: usize = 2;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        "hardsigmoid"
    }

    fn value<T: Element>(&self, x: T) -> T {
        clamp(x + T::from_f64(3.), T::zero(), T::from_f64(6.)) / T::from_f64(6.)
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if within(x, T::from_f64(-3.), T::from_f64(3.)) { T::from_f64(1. / 6.) } else { T::zero() }
    }
}

/// x · hardsigmoid(x).
#[derive(Debug, Clone)]
pub(in crate::activation) struct Hardswish;

impl Unary for Hardswish {
    const COST: usize = 2;
    const DEGREE: usize = 2;

    fn name(&self) -> &'static str {
        "hardswish"
    }

    fn value<T: Element>(&self, x: T) -> T {
        times(x, clamp(x + T::from_f64(3.), T::zero(), T::from_f64(6.)) / T::from_f64(6.))
    }

    fn slope<T: Element>(&self, x: T) -> T {
        let parabola = x / T::from_f64(3.) + T::from_f64(0.5);
        let right = if x < T::from_f64(3.) { parabola } else { T::one() };
        if x <= T::from_f64(-3.) { T::zero() } else { right }
    }

    fn curvature<T: Element>(&self, x: T) -> T {
        if within(x, T::from_f64(-3.), T::from_f64(3.)) { T::from_f64(1. / 3.) } else { T::zero() }
    }
}

/// x where |x| exceeds λ, else 0.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Hardshrink {
    pub(in crate::activation) lambda: f64,
}

impl Unary for Hardshrink {
    const COST: usize = 1;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        "hardshrink"
    }

    fn value<T: Element>(&self, x: T) -> T {
        if x.abs() <= T::from_f64(self.lambda) { T::zero() } else { x }
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if x.abs() <= T::from_f64(self.lambda) { T::zero() } else { T::one() }
    }
}

/// x, moved towards 0 by λ as far as 0.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Softshrink {
    pub(in crate::activation) lambda: f64,
}

impl Unary for Softshrink {
    const COST: usize = 2;
    const DEGREE: usize = 1;

    fn name(&self) -> &'static str {
        "softshrink"
    }

    fn value<T: Element>(&self, x: T) -> T {
        let lambda = T::from_f64(self.lambda);
        x - clamp(x, -lambda, lambda)
    }

    fn slope<T: Element>(&self, x: T) -> T {
        if x.abs() <= T::from_f64(self.lambda) { T::zero() } else { T::one() }
    }
}

/// `x`, held between two bounds; NaN, which compares false, stays.
fn clamp<T: Element>(x: T, min: T, max: T) -> T {
    let above = if x < min { min } else { x };
    if above > max { max } else { above }
}

/// Whether `x` lies between two bounds, neither of which it may equal: one selection, where `&&` would branch.
fn within<T: Element>(x: T, min: T, max: T) -> bool {
    (x > min) & (x < max)
}
