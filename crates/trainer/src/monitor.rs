//! What a run is watched by.

use crate::{EpochRecord, Error, Metrics, Result};

/// The number of an epoch that tells whether it was better than another: for
/// [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau), [`EarlyStopping`](crate::EarlyStopping) and
/// [`Checkpoints::keep_best`](crate::Checkpoints::keep_best). Epochs without it are passed over, and NaN is never better.
///
/// ```
/// use taper_trainer::Monitor;
///
/// let f1 = Monitor::Max("f1_macro".to_owned());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Monitor {
    /// The loss of the validation set, or of the training where there is none; the lower the better.
    Loss,
    /// The accuracy of the validation set, or of the training where there is none; the higher the better.
    Accuracy,
    /// The metric of the validation set that goes by this name, the lower the better.
    Min(String),
    /// The metric of the validation set that goes by this name, the higher the better.
    Max(String),
}

impl Monitor {
    pub(crate) fn value(&self, epoch: &EpochRecord) -> Option<f64> {
        let Metrics { loss, accuracy, .. } = epoch.val.unwrap_or(epoch.train);
        match self {
            Self::Loss => Some(loss),
            Self::Accuracy => accuracy,
            Self::Min(name) | Self::Max(name) => epoch.metrics.get(name).copied().flatten(),
        }
    }

    pub(crate) fn is_lower_better(&self) -> bool {
        matches!(self, Self::Loss | Self::Min(_))
    }

    /// Whether `value` is better than the best so far by more than `min_delta`.
    pub(crate) fn is_better(&self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        match best {
            None => !value.is_nan(),
            Some(best) if self.is_lower_better() => value < best - min_delta,
            Some(best) => value > best + min_delta,
        }
    }

    /// The best epoch, the first of equal ones.
    pub(crate) fn best<'e>(&self, epochs: &'e [EpochRecord]) -> Option<&'e EpochRecord> {
        let (mut best, mut found) = (None, None);
        for epoch in epochs {
            if let Some(value) = self.value(epoch).filter(|value| self.is_better(*value, best, 0.0)) {
                (best, found) = (Some(value), Some(epoch));
            }
        }
        found
    }

    /// Refuses a metric that no epoch will have: a misspelt one must not pass for one that is never better.
    pub(crate) fn check(&self, op: &'static str, names: &[String]) -> Result<()> {
        match self {
            Self::Min(name) | Self::Max(name) if !names.contains(name) => {
                let (argument, expected) = ("monitor", "a metric that is computed on a validation set");
                Err(Error::Value { op, argument, expected, value: format!("{name:?}; there are {names:?}") })
            }
            _ => Ok(()),
        }
    }
}
