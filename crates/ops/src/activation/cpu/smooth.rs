//! Functions made of exponentials and quotients.

use super::EXP;
use crate::elementwise::Unary;
use crate::storage::Element;

/// 1 / (1 + exp(−x)).
#[derive(Debug, Clone)]
pub(crate) struct Sigmoid;

impl Unary for Sigmoid {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "sigmoid"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        let e = (-x.abs()).vexp();
        (if x < T::zero() { e } else { T::one() }) / (T::one() + e)
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let e = (-x.abs()).vexp();
        let p = T::one() / (T::one() + e);
        e * p * p
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        -self.slope(x) * (x / T::from_f64(2.)).vtanh()
    }
}

/// The hyperbolic tangent, 2σ(2x) − 1.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Tanh;

impl Unary for Tanh {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "tanh"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        x.vtanh()
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        T::from_f64(4.) * Sigmoid.slope(x + x)
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        T::from_f64(-2.) * x.vtanh() * self.slope(x)
    }
}

/// x − tanh(x).
#[derive(Debug, Clone)]
pub(in crate::activation) struct Tanhshrink;

impl Unary for Tanhshrink {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "tanhshrink"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        x - x.vtanh()
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let y = x.vtanh();
        y * y
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        -Tanh.curvature(x)
    }
}

/// x / (1 + |x|).
#[derive(Debug, Clone)]
pub(in crate::activation) struct Softsign;

impl Unary for Softsign {
    const COST: usize = 4;

    fn name(&self) -> &'static str {
        "softsign"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        if x.is_infinite() { x.signum() } else { x / (T::one() + x.abs()) }
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let p = T::one() / (T::one() + x.abs());
        p * p
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        let p = T::one() / (T::one() + x.abs());
        T::from_f64(if x < T::zero() { 2. } else { -2. }) * p * p * p
    }
}

/// log(1 + exp(βx)) / β; x itself where βx exceeds the threshold.
#[derive(Debug, Clone)]
pub(in crate::activation) struct Softplus {
    pub(in crate::activation) beta: f64,
    pub(in crate::activation) threshold: f64,
}

impl Softplus {
    /// βx, and whether x is taken for its own softplus.
    #[inline(always)]
    fn scaled<T: Element>(&self, x: T) -> (T, bool) {
        let z = x * T::from_f64(self.beta);
        (z, z > T::from_f64(self.threshold))
    }
}

impl Unary for Softplus {
    const COST: usize = 2 * EXP;

    fn name(&self) -> &'static str {
        "softplus"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        let (z, linear) = self.scaled(x);
        if linear { x } else { softplus(z) / T::from_f64(self.beta) }
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let (z, linear) = self.scaled(x);
        if linear { T::one() } else { Sigmoid.value(z) }
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        let (z, linear) = self.scaled(x);
        if linear { T::zero() } else { T::from_f64(self.beta) * Sigmoid.slope(z) }
    }
}

/// log(1 + exp(x)).
fn softplus<T: Element>(x: T) -> T {
    let positive = if x < T::zero() { T::zero() } else { x };
    positive + (-x.abs()).vexp().ln_1p()
}

/// log σ(x).
#[derive(Debug, Clone)]
pub(crate) struct Logsigmoid;

impl Unary for Logsigmoid {
    const COST: usize = 2 * EXP;

    fn name(&self) -> &'static str {
        "logsigmoid"
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        -softplus(-x)
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        Sigmoid.value(-x)
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        -Sigmoid.slope(x)
    }
}

/// The exponential linear units: right · x where x is positive, else left · (exp(rate · x) − 1).
#[derive(Debug, Clone)]
pub(in crate::activation) struct Elu {
    pub(in crate::activation) name: &'static str,
    pub(in crate::activation) right: f64,
    pub(in crate::activation) left: f64,
    pub(in crate::activation) rate: f64,
}

impl Unary for Elu {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        self.name
    }

    #[inline(always)]
    fn value<T: Element>(&self, x: T) -> T {
        let (right, left, rate) = (T::from_f64(self.right), T::from_f64(self.left), T::from_f64(self.rate));
        if x > T::zero() { right * x } else { left * (rate * x).exp_m1() }
    }

    #[inline(always)]
    fn slope<T: Element>(&self, x: T) -> T {
        let (right, left) = (T::from_f64(self.right), T::from_f64(self.left * self.rate));
        if x <= T::zero() { left * (T::from_f64(self.rate) * x).vexp() } else { right }
    }

    #[inline(always)]
    fn curvature<T: Element>(&self, x: T) -> T {
        let left = T::from_f64(self.left * self.rate * self.rate);
        if x <= T::zero() { left * (T::from_f64(self.rate) * x).vexp() } else { T::zero() }
    }
}
