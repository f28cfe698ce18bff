//! The losses as functions of a prediction and its target, and their derivatives.

use super::spec::Weights;
use crate::activation::{Logsigmoid, Sigmoid};
use crate::elementwise::{Binary, By, Unary, times};
use crate::storage::Element;

/// An exponential, in simple operations.
const EXP: usize = 16;

/// A function of the difference x − target.
#[derive(Debug, Clone)]
pub(super) struct Difference<F>(pub(super) F);

impl<F: Unary> Binary for Difference<F> {
    const COST: usize = F::COST;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn value<T: Element>(&self, _at: usize, x: T, target: T) -> T {
        self.0.value(x - target)
    }

    fn partial<T: Element>(&self, by: By, _at: usize, x: T, target: T) -> T {
        match by {
            By::A => self.0.slope(x - target),
            By::B => -self.0.slope(x - target),
            By::AA | By::BB => self.0.curvature(x - target),
            By::AB => -self.0.curvature(x - target),
        }
    }
}

/// d².
#[derive(Debug, Clone)]
pub(super) struct Square;

impl Unary for Square {
    const COST: usize = 1;

    fn name(&self) -> &'static str {
        "mse_loss"
    }

    fn value<T: Element>(&self, d: T) -> T {
        d * d
    }

    fn slope<T: Element>(&self, d: T) -> T {
        d + d
    }

    fn curvature<T: Element>(&self, _d: T) -> T {
        T::from_f64(2.)
    }
}

/// |d|, whose slope at 0 is 0.
#[derive(Debug, Clone)]
pub(super) struct Abs {
    pub(super) name: &'static str,
}

impl Unary for Abs {
    const COST: usize = 1;

    fn name(&self) -> &'static str {
        self.name
    }

    fn value<T: Element>(&self, d: T) -> T {
        d.abs()
    }

    fn slope<T: Element>(&self, d: T) -> T {
        let right = if d > T::zero() { T::one() } else { T::zero() };
        if d < T::zero() { -T::one() } else { right }
    }
}

/// height · d² / (2 · width) where |d| < width, and height · (|d| − width / 2) beyond.
#[derive(Debug, Clone)]
pub(super) struct Rounded {
    pub(super) name: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Unary for Rounded {
    const COST: usize = 3;

    fn name(&self) -> &'static str {
        self.name
    }

    fn value<T: Element>(&self, d: T) -> T {
        let (width, height, half, d) = (T::from_f64(self.width), T::from_f64(self.height), T::from_f64(0.5), d.abs());
        if d < width { half * height * d * (d / width) } else { height * (d - half * width) }
    }

    fn slope<T: Element>(&self, d: T) -> T {
        let (width, height) = (T::from_f64(self.width), T::from_f64(self.height));
        let right = if d >= width { height } else { height * (d / width) };
        if d <= -width { -height } else { right }
    }

    fn curvature<T: Element>(&self, d: T) -> T {
        if d.abs() < T::from_f64(self.width) { T::from_f64(self.height / self.width) } else { T::zero() }
    }
}

/// −weight · (p · t · log σ(x) + (1 − t) · log σ(−x)), p the weight of the positive part.
///
/// Its terms are kept apart as the formula has them: their sum would lose the small one in the tails.
#[derive(Debug, Clone)]
pub(super) struct BinaryCrossEntropy {
    pub(super) weight: Option<Weights>,
    pub(super) pos_weight: Option<Weights>,
}

impl Binary for BinaryCrossEntropy {
    const COST: usize = 2 * EXP;

    fn name(&self) -> &'static str {
        "binary_cross_entropy_with_logits"
    }

    fn value<T: Element>(&self, at: usize, x: T, t: T) -> T {
        let positive = times(Logsigmoid.value(x), weight::<T>(&self.pos_weight, at) * t);
        times(-positive - times(Logsigmoid.value(-x), T::one() - t), weight(&self.weight, at))
    }

    fn partial<T: Element>(&self, by: By, at: usize, x: T, t: T) -> T {
        let (p, not_t) = (weight::<T>(&self.pos_weight, at), T::one() - t);
        let partial = match by {
            By::A => not_t * Sigmoid.value(x) - p * t * Sigmoid.value(-x),
            // log σ(−x) − p · log σ(x), in both of which log(1 + exp(−|x|)) is a term.
            By::B => times((-x.abs()).exp().ln_1p(), p - T::one()) + (if x < T::zero() { -p * x } else { -x }),
            By::AA => (not_t + p * t) * Sigmoid.slope(x),
            By::AB => -(Sigmoid.value(x) + p * Sigmoid.value(-x)),
            By::BB => T::zero(),
        };
        times(partial, weight(&self.weight, at))
    }
}

fn weight<T: Element>(weights: &Option<Weights>, at: usize) -> T {
    match weights {
        None => T::one(),
        Some(Weights::OnHost(weights)) => T::from_f64(weights[at]),
        // No tensor of the CPU has such weights; if one had, it would show.
        Some(Weights::OnDevice(_)) => T::nan(),
    }
}

/// t · (log t − x), of a probability t and a log-probability x; 0 where t is.
#[derive(Debug, Clone)]
pub(super) struct KlDiv;

impl Binary for KlDiv {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "kl_div"
    }

    fn value<T: Element>(&self, _at: usize, x: T, t: T) -> T {
        times(t.ln() - x, t)
    }

    fn partial<T: Element>(&self, by: By, _at: usize, x: T, t: T) -> T {
        match by {
            By::A => -t,
            By::B => t.ln() + T::one() - x,
            By::AA => T::zero(),
            By::AB => -T::one(),
            By::BB => T::one() / t,
        }
    }
}

/// exp(t) · (t − x), of two log-probabilities; 0 where exp(t) is.
#[derive(Debug, Clone)]
pub(super) struct KlDivOfLogs;

impl Binary for KlDivOfLogs {
    const COST: usize = EXP;

    fn name(&self) -> &'static str {
        "kl_div"
    }

    fn value<T: Element>(&self, _at: usize, x: T, t: T) -> T {
        times(t - x, t.exp())
    }

    fn partial<T: Element>(&self, by: By, _at: usize, x: T, t: T) -> T {
        match by {
            By::A | By::AB => -t.exp(),
            By::B => times(t - x + T::one(), t.exp()),
            By::AA => T::zero(),
            By::BB => times(t - x + T::from_f64(2.), t.exp()),
        }
    }
}
