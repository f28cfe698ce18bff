//! x · gate(x), for gates that open from 0 to 1.

use super::EXP;
use super::smooth::Sigmoid;
use crate::elementwise::{Binary, By, Unary, times};
use crate::storage::Element;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// x · gate(x), under a name of its own.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Gated<G> {
    pub(in crate::activation) name: &'static str,
    pub(in crate::activation) gate: G,
}

impl<G: Unary> Unary for Gated<G> {
    const COST: usize = G::COST;

    fn name(&self) -> &'static str {
        self.name
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        times(x, self.gate.value(x))
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        self.gate.value(x) + times(x, self.gate.slope(x))
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        T::from_f64(2.) * self.gate.slope(x) + times(x, self.gate.curvature(x))
    }
}

/// Φ(x), the distribution function of the standard normal distribution: gelu's gate.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Normal;

impl Normal {
    #[inline(always)]
    fn density<T: Element>(x: T) -> T {
        (x * x / T::from_f64(-2.)).vexp() * T::from_f64(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)
    }
}

impl Unary for Normal {
    const COST: usize = 2 * EXP;

    fn name(&self) -> &'static str {
        "gelu"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        T::from_f64(0.5) * (x * T::from_f64(-FRAC_1_SQRT_2)).erfc()
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        Self::density(x)
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        -times(x, Self::density(x))
    }
}

/// (1 + tanh(u)) / 2 = σ(2u) at u = √(2/π) · (x + 0.044715 · x³): an approximation of [`Normal`].
#[derive(Debug, Clone)]
pub(in crate::activation) struct TanhNormal;

impl TanhNormal {
    const CUBIC: f64 = 0.044_715;

    /// 2u, its slope and its curvature.
    #[inline(always)]
    fn doubled<T: Element>(x: T) -> [T; 3] {
        let scale = T::from_f64(2. * (2. / PI).sqrt());
        let cubic = |factor: f64| T::from_f64(factor * Self::CUBIC);
        let square = x * x;
        [scale * x * (T::one() + cubic(1.) * square), scale * (T::one() + cubic(3.) * square), scale * cubic(6.) * x]
    }
}

impl Unary for TanhNormal {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "gelu_tanh"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        Sigmoid.value(Self::doubled(x)[0])
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let [z, dz, _] = Self::doubled(x);
        times(dz, Sigmoid.slope(z))
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        let [z, dz, ddz] = Self::doubled(x);
        times(dz * dz, Sigmoid.curvature(z)) + times(ddz, Sigmoid.slope(z))
    }
}

/// tanh(log(1 + exp(x))): mish's gate. With e = exp(x) it is (e² + 2e) / (e² + 2e + 2), here with numerators and denominators
/// divided by the highest power of e where x is positive.
#[derive(Debug, Clone)]
pub(in crate::activation) struct TanhSoftplus;

impl TanhSoftplus {
    /// exp(−|x|), whether x is positive, and e² + 2e + 2, divided by e² where x is positive.
    #[inline(always)]
    fn terms<T: Element>(x: T) -> (T, bool, T) {
        let (e, one, two) = ((-x.abs()).vexp(), T::one(), T::from_f64(2.));
        let positive = x > T::zero();
        (e, positive, if positive { one + two * e * (one + e) } else { two + e * (two + e) })
    }
}

impl Unary for TanhSoftplus {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "mish"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        let (e, positive, whole) = Self::terms(x);
        let two = T::from_f64(2.);
        (if positive { T::one() + two * e } else { e * (two + e) }) / whole
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let (e, positive, whole) = Self::terms(x);
        let numerator = T::from_f64(4.) * e * (T::one() + e);
        (if positive { numerator * e } else { numerator }) / (whole * whole)
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        let (e, positive, whole) = Self::terms(x);
        let (one, two, three) = (T::one(), T::from_f64(2.), T::from_f64(3.));
        let numerator = if positive {
            e * (two * e * e * (one + e) - three * e - two)
        } else {
            two + two * e - e * e * (three + two * e)
        };
        T::from_f64(4.) * e * numerator / (whole * whole * whole)
    }
}

/// a · σ(b), the gated linear unit.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Glu;

impl Binary for Glu {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "glu"
    }

    #[inline(always)]
    fn value<T: Element>(&self, _at: usize, a: T, b: T) -> T {
        times(a, Sigmoid.value(b))
    }

    fn partial<T: Element>(&self, by: By, _at: usize, a: T, b: T) -> T {
        match by {
            By::A => Sigmoid.value(b),
            By::B => times(a, Sigmoid.slope(b)),
            By::AA => T::zero(),
            By::AB => Sigmoid.slope(b),
            By::BB => times(a, Sigmoid.curvature(b)),
        }
    }
}
