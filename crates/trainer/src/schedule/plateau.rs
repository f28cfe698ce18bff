//! Lower when training no longer gets better.

use super::{Rates, Schedule, not_negative, positive};
use crate::{EpochRecord, Error, Monitor, Result};

/// Lower by a factor when an epoch's loss or metric has not got better for some epochs.
///
/// # Formula
/// A loss is better where it is below the best so far times `1 − threshold`, an accuracy, and what else is the better the higher,
/// where it is above the best times `1 + threshold`. After more than `patience` epochs in a row that are not, `lr ← max(lr · factor, min_lr)`, and the
/// `cooldown` epochs that follow are not counted.
///
/// The threshold is a part of the best value, so the loss should stay above 0: of one below 0, as PyTorch has it, a little
/// worse counts as better.
///
/// It follows from the epochs that are done, which checkpoints hold: there is no state to lose.
///
/// # Source
/// PyTorch's `ReduceLROnPlateau`, with a relative threshold.
///
/// ```
/// use taper_trainer::schedule::{ReduceOnPlateau, Schedule};
/// use taper_trainer::{EpochRecord, Metrics};
///
/// let schedule = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::new(0.1) };
/// let epochs: Vec<EpochRecord> = [1.0, 0.5, 0.6, 0.7]
///     .into_iter()
///     .zip(1..)
///     .map(|(loss, epoch)| {
///         let train = Metrics { loss, accuracy: None, samples: 8 };
///         EpochRecord { epoch, step: 10 * epoch, lr: 0.1, train, val: None, metrics: Default::default() }
///     })
///     .collect();
/// assert_eq!(schedule.rates(30, &epochs[..3]).lr, 0.1);
/// assert!((schedule.rates(40, &epochs).lr - 0.01).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceOnPlateau {
    /// The learning rate at the start.
    pub lr: f64,
    /// What the rate is multiplied with; 0.1 by default.
    pub factor: f64,
    /// How many epochs in a row may be no better; 10 by default.
    pub patience: usize,
    /// By which part an epoch must be better to count as such, less than 1; 10⁻⁴ by default.
    pub threshold: f64,
    /// How many epochs after a reduction are not counted; 0 by default.
    pub cooldown: usize,
    /// The lowest learning rate; 0 by default.
    pub min_lr: f64,
    /// What is looked at; the loss by default.
    pub monitor: Monitor,
}

impl ReduceOnPlateau {
    /// From `lr` on, the rest by default.
    pub fn new(lr: f64) -> Self {
        let (factor, patience, threshold) = (0.1, 10, 1e-4);
        Self { lr, factor, patience, threshold, cooldown: 0, min_lr: 0.0, monitor: Monitor::Loss }
    }
}

impl Schedule for ReduceOnPlateau {
    fn rates(&self, _: usize, epochs: &[EpochRecord]) -> Rates {
        let worst = if self.monitor.is_lower_better() { f64::INFINITY } else { f64::NEG_INFINITY };
        let (mut lr, mut best, mut bad_epochs, mut cooldown) = (self.lr, worst, 0, 0);
        for value in epochs.iter().filter_map(|epoch| self.monitor.value(epoch)) {
            if self.is_better(value, best) {
                (best, bad_epochs) = (value, 0);
            } else {
                bad_epochs += 1;
            }
            if cooldown > 0 {
                (cooldown, bad_epochs) = (cooldown - 1, 0);
            }
            if bad_epochs > self.patience {
                // The rate may have begun below its least.
                lr = (lr * self.factor).max(self.min_lr).min(lr);
                (cooldown, bad_epochs) = (self.cooldown, 0);
            }
        }
        Rates::constant(lr)
    }

    fn monitors(&self) -> Vec<&Monitor> {
        vec![&self.monitor]
    }

    fn validate(&self) -> Result<()> {
        let op = "ReduceOnPlateau";
        positive(op, [("lr", self.lr)])?;
        not_negative(op, [("threshold", self.threshold), ("min_lr", self.min_lr)])?;
        if self.threshold >= 1.0 {
            let (argument, expected) = ("threshold", "a part, less than 1");
            return Err(Error::Value { op, argument, expected, value: self.threshold.to_string() });
        }
        if self.factor > 0.0 && self.factor < 1.0 {
            return Ok(());
        }
        let (argument, expected) = ("factor", "greater than 0 and less than 1");
        Err(Error::Value { op, argument, expected, value: self.factor.to_string() })
    }
}

impl ReduceOnPlateau {
    fn is_better(&self, value: f64, best: f64) -> bool {
        match self.monitor.is_lower_better() {
            true => value < best * (1.0 - self.threshold),
            false => value > best * (1.0 + self.threshold),
        }
    }
}
