//! The one-cycle policy.

use super::{Rates, Schedule, anneal, at_least_one, positive};
use crate::{EpochRecord, Error, Result};

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
/// use taper_trainer::schedule::{OneCycle, Schedule};
///
/// let schedule = OneCycle::new(0.1, 100);
/// assert!((schedule.rates(0, &[]).lr - 0.004).abs() < 1e-12);
/// assert!((schedule.rates(29, &[]).lr - 0.1).abs() < 1e-12);
/// assert!((schedule.rates(99, &[]).lr - 0.004e-4).abs() < 1e-12);
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
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
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
        let Self { max_lr, div_factor, final_div_factor, .. } = *self;
        positive(op, [("max_lr", max_lr), ("div_factor", div_factor), ("final_div_factor", final_div_factor)])?;
        if !(0.0..=1.0).contains(&self.pct_start) {
            let value = self.pct_start.to_string();
            return Err(Error::Value { op, argument: "pct_start", expected: "between 0 and 1", value });
        }
        if let Some((base, max)) = self.momentum {
            for momentum in [base, max] {
                if !(0.0..1.0).contains(&momentum) {
                    let (expected, value) = ("at least 0 and less than 1", momentum.to_string());
                    return Err(Error::Value { op, argument: "momentum", expected, value });
                }
            }
        }
        at_least_one(op, "total_steps", self.total_steps)
    }
}
