//! Monotone functions of the step: constant, in steps, and along a line, an exponential or a power.

use super::{Rates, Schedule, at_least_one, not_negative, positive};
use crate::{EpochRecord, Error, Result};

/// The same learning rate at every step.
///
/// ```
/// use taper_trainer::schedule::{Constant, Schedule};
///
/// assert_eq!(Constant { lr: 0.1 }.rates(1_000, &[]).lr, 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// The learning rate.
    pub lr: f64,
}

impl Schedule for Constant {
    fn rates(&self, _: usize, _: &[EpochRecord]) -> Rates {
        Rates::constant(self.lr)
    }

    fn validate(&self) -> Result<()> {
        positive("Constant", [("lr", self.lr)])
    }
}

/// From `start_lr` to `end_lr` along a line, and `end_lr` from then on.
///
/// # Formula
/// `start_lr + (end_lr − start_lr) · min(step / total_steps, 1)`.
///
/// # Source
/// PyTorch's `LinearLR`, whose rates are factors of the optimiser's.
///
/// ```
/// use taper_trainer::schedule::{Linear, Schedule};
///
/// let schedule = Linear { start_lr: 0.1, end_lr: 0.0, total_steps: 100 };
/// assert!((schedule.rates(75, &[]).lr - 0.025).abs() < 1e-12);
/// assert_eq!(schedule.rates(100, &[]).lr, 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// The learning rate at the start.
    pub start_lr: f64,
    /// The learning rate at the end.
    pub end_lr: f64,
    /// The number of steps from the one to the other.
    pub total_steps: usize,
}

impl Schedule for Linear {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        let part = (step as f64 / self.total_steps as f64).min(1.0);
        Rates::constant(self.start_lr + (self.end_lr - self.start_lr) * part)
    }

    fn validate(&self) -> Result<()> {
        not_negative("Linear", [("start_lr", self.start_lr), ("end_lr", self.end_lr)])?;
        at_least_one("Linear", "total_steps", self.total_steps)
    }
}

/// Lower by the factor `gamma` every `step_size` steps.
///
/// # Formula
/// `lr · gamma^⌊step / step_size⌋`.
///
/// # Source
/// PyTorch's `StepLR`.
///
/// ```
/// use taper_trainer::schedule::{Schedule, StepDecay};
///
/// let schedule = StepDecay { lr: 1.0, step_size: 30, gamma: 0.5 };
/// assert_eq!([29, 30, 60].map(|step| schedule.rates(step, &[]).lr), [1.0, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDecay {
    /// The learning rate at the start.
    pub lr: f64,
    /// The number of steps at one rate.
    pub step_size: usize,
    /// What the rate is multiplied with.
    pub gamma: f64,
}

impl Schedule for StepDecay {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        Rates::constant(self.lr * self.gamma.powf((step / self.step_size.max(1)) as f64))
    }

    fn validate(&self) -> Result<()> {
        positive("StepDecay", [("lr", self.lr), ("gamma", self.gamma)])?;
        at_least_one("StepDecay", "step_size", self.step_size)
    }
}

/// Lower by the factor `gamma` at each of some steps.
///
/// # Formula
/// `lr · gamma^n`, where n of the `milestones` are at most `step`.
///
/// # Source
/// PyTorch's `MultiStepLR`.
///
/// ```
/// use taper_trainer::schedule::{MultiStep, Schedule};
///
/// let schedule = MultiStep { lr: 1.0, milestones: vec![30, 80], gamma: 0.5 };
/// assert_eq!([29, 30, 80].map(|step| schedule.rates(step, &[]).lr), [1.0, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiStep {
    /// The learning rate at the start.
    pub lr: f64,
    /// The steps from which the next rate holds, ascending.
    pub milestones: Vec<usize>,
    /// What the rate is multiplied with.
    pub gamma: f64,
}

impl Schedule for MultiStep {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        let passed = self.milestones.iter().filter(|milestone| **milestone <= step).count();
        Rates::constant(self.lr * self.gamma.powf(passed as f64))
    }

    fn validate(&self) -> Result<()> {
        let op = "MultiStep";
        positive(op, [("lr", self.lr), ("gamma", self.gamma)])?;
        if self.milestones.is_sorted() {
            return Ok(());
        }
        let value = format!("{:?}", self.milestones);
        Err(Error::Value { op, argument: "milestones", expected: "ascending", value })
    }
}

/// Lower by the factor `gamma` at each step; higher where it exceeds 1.
///
/// # Formula
/// `lr · gamma^step`.
///
/// # Source
/// PyTorch's `ExponentialLR`.
///
/// ```
/// use taper_trainer::schedule::{Exponential, Schedule};
///
/// assert_eq!(Exponential { lr: 1.0, gamma: 0.5 }.rates(3, &[]).lr, 0.125);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// The learning rate at the start.
    pub lr: f64,
    /// What the rate is multiplied with.
    pub gamma: f64,
}

impl Schedule for Exponential {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        Rates::constant(self.lr * self.gamma.powf(step as f64))
    }

    fn validate(&self) -> Result<()> {
        positive("Exponential", [("lr", self.lr), ("gamma", self.gamma)])
    }
}

/// From `lr` down to zero along a power of the part that is left.
///
/// # Formula
/// `lr · (1 − min(step / total_steps, 1))^power`.
///
/// # Source
/// PyTorch's `PolynomialLR`.
///
/// ```
/// use taper_trainer::schedule::{Polynomial, Schedule};
///
/// let schedule = Polynomial { lr: 1.0, total_steps: 100, power: 2.0 };
/// assert_eq!([0, 50, 100].map(|step| schedule.rates(step, &[]).lr), [1.0, 0.25, 0.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polynomial {
    /// The learning rate at the start.
    pub lr: f64,
    /// The number of steps to zero.
    pub total_steps: usize,
    /// The power.
    pub power: f64,
}

impl Schedule for Polynomial {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        let left = (1.0 - step as f64 / self.total_steps as f64).max(0.0);
        Rates::constant(self.lr * left.powf(self.power))
    }

    fn validate(&self) -> Result<()> {
        positive("Polynomial", [("lr", self.lr), ("power", self.power)])?;
        at_least_one("Polynomial", "total_steps", self.total_steps)
    }
}
