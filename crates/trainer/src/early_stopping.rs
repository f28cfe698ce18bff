//! Stops when training no longer gets better.

use crate::{EpochRecord, Error, Monitor, Result};

/// Ends a fit when an epoch's loss or metric has not got better for some epochs: see
/// [`Trainer::early_stopping`](crate::Trainer::early_stopping).
///
/// # Formula
/// A value is better where it is more than `min_delta` below the best so far, or above it for what is the better the higher. After
/// `patience` epochs in a row that are not better the fit ends. Epochs without the value are passed over.
///
/// It follows from the epochs that are done, which checkpoints hold: there is no state to lose, and a resumed run stops at the
/// same epoch.
///
/// # Source
/// Prechelt, "Early stopping - but when?", 1998; Keras's `EarlyStopping`.
///
/// ```
/// use taper_trainer::{EarlyStopping, Monitor};
///
/// let stopping = EarlyStopping { min_delta: 1e-3, ..EarlyStopping::new(Monitor::Loss, 5) };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    /// What is looked at.
    pub monitor: Monitor,
    /// How many epochs in a row may be no better before the fit ends, at least 1.
    pub patience: usize,
    /// By how much an epoch must be better to count as such; 0 by default.
    pub min_delta: f64,
}

impl EarlyStopping {
    /// Stops after `patience` epochs that are no better.
    pub fn new(monitor: Monitor, patience: usize) -> Self {
        Self { monitor, patience, min_delta: 0.0 }
    }

    /// Whether a run stops after these epochs.
    pub fn stops_after(&self, epochs: &[EpochRecord]) -> bool {
        let (mut best, mut waited) = (None, 0);
        for value in epochs.iter().filter_map(|epoch| self.monitor.value(epoch)) {
            if self.monitor.is_better(value, best, self.min_delta) {
                (best, waited) = (Some(value), 0);
            } else {
                waited += 1;
            }
            if waited >= self.patience {
                return true;
            }
        }
        false
    }

    pub(crate) fn check(&self, names: &[String]) -> Result<()> {
        let op = "EarlyStopping";
        if self.patience == 0 {
            return Err(Error::Value { op, argument: "patience", expected: "at least 1", value: "0".to_owned() });
        }
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            let (argument, expected) = ("min_delta", "finite and not negative");
            return Err(Error::Value { op, argument, expected, value: self.min_delta.to_string() });
        }
        self.monitor.check(op, names)
    }
}
