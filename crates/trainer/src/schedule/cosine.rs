//! Along a cosine.

use super::{Rates, Schedule, anneal, at_least_one, not_negative, positive};
use crate::{EpochRecord, Result};

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
/// use taper_trainer::schedule::{CosineAnnealing, Schedule};
///
/// let schedule = CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 100 };
/// assert_eq!(schedule.rates(0, &[]).lr, 0.1);
/// assert!((schedule.rates(50, &[]).lr - 0.05).abs() < 1e-12);
/// assert_eq!(schedule.rates(100, &[]).lr, 0.0);
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
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        let part = (step as f64 / self.total_steps as f64).min(1.0);
        Rates::constant(anneal(self.max_lr, self.min_lr, part))
    }

    fn validate(&self) -> Result<()> {
        let op = "CosineAnnealing";
        positive(op, [("max_lr", self.max_lr)])?;
        not_negative(op, [("min_lr", self.min_lr)])?;
        at_least_one(op, "total_steps", self.total_steps)
    }
}

/// Cosine annealing that starts over: from `max_lr` down to `min_lr` along half a cosine, then from `max_lr` again.
///
/// # Formula
/// The first period has `t_0` steps, each further one `t_mult` times those of the one before. At step t of a period of T:
/// `min_lr + (max_lr − min_lr) · (1 + cos(π · t / T)) / 2`.
///
/// # Source
/// Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017, in the form of PyTorch's
/// `CosineAnnealingWarmRestarts`.
///
/// ```
/// use taper_trainer::schedule::{CosineAnnealingWarmRestarts, Schedule};
///
/// let schedule = CosineAnnealingWarmRestarts { max_lr: 0.1, min_lr: 0.0, t_0: 10, t_mult: 2 };
/// let restarts = [0, 10, 30, 70].map(|step| schedule.rates(step, &[]).lr);
/// assert_eq!(restarts, [0.1; 4]);
/// assert!((schedule.rates(20, &[]).lr - 0.05).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineAnnealingWarmRestarts {
    /// The learning rate at the start of each period.
    pub max_lr: f64,
    /// The learning rate that each period goes down to.
    pub min_lr: f64,
    /// The number of steps of the first period.
    pub t_0: usize,
    /// How many times longer each period is than the one before; 1 keeps them equal.
    pub t_mult: usize,
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn rates(&self, step: usize, _: &[EpochRecord]) -> Rates {
        // Numbers that validation refuses must not loop for ever.
        let (mut step, mut period) = (step, self.t_0.max(1));
        if self.t_mult <= 1 {
            step %= period;
        }
        while step >= period {
            step -= period;
            period = period.saturating_mul(self.t_mult);
        }
        Rates::constant(anneal(self.max_lr, self.min_lr, step as f64 / period as f64))
    }

    fn validate(&self) -> Result<()> {
        let op = "CosineAnnealingWarmRestarts";
        positive(op, [("max_lr", self.max_lr)])?;
        not_negative(op, [("min_lr", self.min_lr)])?;
        at_least_one(op, "t_0", self.t_0)?;
        at_least_one(op, "t_mult", self.t_mult)
    }
}
