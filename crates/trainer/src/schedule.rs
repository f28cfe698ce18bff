//! Schedules: the learning rate, and where wanted the momentum, as a pure function of the step.

use crate::{Error, Result};
use std::f64::consts::PI;
use std::fmt::Debug;

/// What a schedule decides for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub lr: f64,
    /// The momentum (for AdamW, β₁), where the schedule decides it; else the optimiser's own holds.
    pub momentum: Option<f64>,
}

impl Rates {
    /// A learning rate alone.
    pub fn constant(lr: f64) -> Self {
        Self { lr, momentum: None }
    }
}

/// A function from the step to its rates. It has no memory, so a resumed run needs none of it.
///
/// The `Debug` form is its configuration in words: a resumed run must have the same.
pub trait Schedule: Debug {
    /// The rates of optimiser step `step`, counted from 0.
    fn rates(&self, step: usize) -> Rates;

    /// Refuses numbers that make no schedule; called before the first step.
    ///
    /// # Errors
    /// When a number is out of range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// The same learning rate at every step.
///
/// ```
/// use taper_trainer::{Constant, Schedule};
///
/// assert_eq!(Constant { lr: 0.1 }.rates(1_000).lr, 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// The learning rate.
    pub lr: f64,
}

impl Schedule for Constant {
    fn rates(&self, _: usize) -> Rates {
        Rates::constant(self.lr)
    }

    fn validate(&self) -> Result<()> {
        positive("Constant", "lr", self.lr)
    }
}

/// Cosine annealing: from `max_lr` down to `min_lr` along half a cosine.
///
/// # Formula
/// `min_lr + (max_lr − min_lr) · (1 + cos(π · step / total_steps)) / 2`, and `min_lr` from `total_steps` on (PyTorch's
/// `CosineAnnealingLR` climbs again there).
///
/// # Source
/// Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017.
///
/// ```
/// use taper_trainer::{CosineAnnealing, Schedule};
///
/// let schedule = CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 100 };
/// assert_eq!(schedule.rates(0).lr, 0.1);
/// assert!((schedule.rates(50).lr - 0.05).abs() < 1e-12);
/// assert_eq!(schedule.rates(100).lr, 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineAnnealing {
    /// The learning rate at the start.
    pub max_lr: f64,
    /// The learning rate at the end.
    pub min_lr: f64,
    /// The number of steps from the one to the other.
    pub total_steps: usize,
}

impl Schedule for CosineAnnealing {
    fn rates(&self, step: usize) -> Rates {
        let part = (step as f64 / self.total_steps as f64).min(1.0);
        Rates::constant(anneal(self.max_lr, self.min_lr, part))
    }

    fn validate(&self) -> Result<()> {
        positive("CosineAnnealing", "max_lr", self.max_lr)?;
        at_least_one("CosineAnnealing", self.total_steps)
    }
}

/// The one-cycle policy: up from a low learning rate to `max_lr`, then down to a far lower one, each along half a cosine.
///
/// # Formula
/// The first phase ends at step `pct_start · total_steps − 1`, the second at `total_steps − 1`; the rate goes from
/// `max_lr / div_factor` to `max_lr` and on to `max_lr / div_factor / final_div_factor`, where it stays. The momentum, where
/// it is cycled, goes from `max` to `base` and back.
///
/// # Source
/// Smith, Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017, in the form of
/// PyTorch's `OneCycleLR` (two phases, cosine; there the momentum is cycled by default).
///
/// ```
/// use taper_trainer::{OneCycle, Schedule};
///
/// let schedule = OneCycle::new(0.1, 100);
/// assert!((schedule.rates(0).lr - 0.004).abs() < 1e-12);
/// assert!((schedule.rates(29).lr - 0.1).abs() < 1e-12);
/// assert!((schedule.rates(99).lr - 0.004e-4).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// The highest learning rate.
    pub max_lr: f64,
    /// The number of steps of the whole cycle: epochs times batches per epoch.
    pub total_steps: usize,
    /// The part of the cycle that goes up; 0.3 by default.
    pub pct_start: f64,
    /// How many times lower than `max_lr` it starts; 25 by default.
    pub div_factor: f64,
    /// How many times lower than the start it ends; 10⁴ by default.
    pub final_div_factor: f64,
    /// The momentum at the highest rate and at the two ends, (base, max); `None` by default: the optimiser's own holds.
    pub momentum: Option<(f64, f64)>,
}

impl OneCycle {
    /// A cycle of `total_steps` up to `max_lr`, the rest by default.
    pub fn new(max_lr: f64, total_steps: usize) -> Self {
        Self { max_lr, total_steps, pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4, momentum: None }
    }
}

impl Schedule for OneCycle {
    fn rates(&self, step: usize) -> Rates {
        let (first_lr, total) = (self.max_lr / self.div_factor, self.total_steps as f64);
        let (step, peak, end) = (step as f64, self.pct_start * total - 1.0, total - 1.0);
        if step <= peak {
            // At the peak of a phase without length, its end holds.
            let part = if peak > 0.0 { step / peak } else { 1.0 };
            let momentum = self.momentum.map(|(base, max)| anneal(max, base, part));
            Rates { lr: anneal(first_lr, self.max_lr, part), momentum }
        } else {
            let part = if end > peak { ((step - peak) / (end - peak)).min(1.0) } else { 1.0 };
            let momentum = self.momentum.map(|(base, max)| anneal(base, max, part));
            Rates { lr: anneal(self.max_lr, first_lr / self.final_div_factor, part), momentum }
        }
    }

    fn validate(&self) -> Result<()> {
        let op = "OneCycle";
        for (argument, value) in
            [("max_lr", self.max_lr), ("div_factor", self.div_factor), ("final_div_factor", self.final_div_factor)]
        {
            positive(op, argument, value)?;
        }
        if !(0.0..=1.0).contains(&self.pct_start) {
            let value = self.pct_start.to_string();
            return Err(Error::Value { op, argument: "pct_start", expected: "between 0 and 1", value });
        }
        at_least_one(op, self.total_steps)
    }
}

/// From `start` at `part` 0 to `end` at `part` 1, along half a cosine.
fn anneal(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) / 2.0 * ((PI * part).cos() + 1.0)
}

fn positive(op: &'static str, argument: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::Value { op, argument, expected: "positive and finite", value: value.to_string() })
}

fn at_least_one(op: &'static str, total_steps: usize) -> Result<()> {
    if total_steps > 0 {
        return Ok(());
    }
    Err(Error::Value { op, argument: "total_steps", expected: "at least 1", value: total_steps.to_string() })
}
