//! What a run is judged by: sums over samples, in float64 and in the order of the batches, divided at the end. So a mean
//! is right over batches of unequal size, and a resumed epoch goes on with the same bits.

mod accuracy;
mod auroc;
mod confusion;
mod mean_loss;
mod per_class;
mod rows;

pub use accuracy::{Accuracy, TopK};
pub use auroc::Auroc;
pub use confusion::ConfusionMatrix;
pub use mean_loss::MeanLoss;
pub use per_class::{Average, F1, Precision, Recall};
pub(crate) use rows::predicted;

use crate::{Result, exact};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One number over all samples of a set, taken in batch by batch: what [`Trainer::metric`](crate::Trainer::metric) computes on
/// the validation set.
///
/// The value is that of all samples together, not a mean over batches: however a set is cut into batches, it comes to the same.
/// Where the samples leave it undefined (none at all, or none of a class that it is about), it is `None`, never NaN. Those of
/// this crate take integer targets, and pass over batches whose targets are of a floating-point dtype, as mixed ones are; of
/// logits that are equal, the first is the prediction.
///
/// The `Debug` form after a [`reset`](Metric::reset) is its configuration in words: a resumed run must have the same.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Metric, Result};
///
/// /// The largest logit of all samples.
/// #[derive(Debug, Default)]
/// struct Largest(Option<f32>);
///
/// impl Metric for Largest {
///     fn name(&self) -> String {
///         "largest".to_owned()
///     }
///
///     fn update(&mut self, logits: &Tensor, _: &Tensor, _: f64) -> Result<()> {
///         let largest = logits.max_all()?.to_scalar::<f32>()?;
///         self.0 = Some(self.0.map_or(largest, |former| former.max(largest)));
///         Ok(())
///     }
///
///     fn value(&self) -> Option<f64> {
///         self.0.map(f64::from)
///     }
///
///     fn reset(&mut self) {
///         self.0 = None;
///     }
/// }
///
/// let mut largest = Largest::default();
/// for logits in [[[0.5f32, 2.]], [[1., 0.]]] {
///     largest.update(&Tensor::new(&logits, &Device::Cpu)?, &Tensor::new(&[0u32], &Device::Cpu)?, 0.7)?;
/// }
/// assert_eq!(largest.value(), Some(2.0));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub trait Metric: fmt::Debug {
    /// What it goes by in the history, and in what is written of it; `auroc` for instance.
    fn name(&self) -> String;

    /// Takes a batch in: the forward's output, the targets, and the mean loss of the batch.
    ///
    /// # Errors
    /// When the shapes do not belong together, or are not what the metric is about.
    fn update(&mut self, logits: &Tensor, targets: &Tensor, loss: f64) -> Result<()>;

    /// The value over all that was taken in since the last reset; `None` where that leaves it undefined.
    fn value(&self) -> Option<f64>;

    /// Forgets all that was taken in.
    fn reset(&mut self);
}

impl<M: Metric + ?Sized> Metric for &mut M {
    fn name(&self) -> String {
        (**self).name()
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, loss: f64) -> Result<()> {
        (**self).update(logits, targets, loss)
    }

    fn value(&self) -> Option<f64> {
        (**self).value()
    }

    fn reset(&mut self) {
        (**self).reset();
    }
}

/// What an evaluation comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss and the accuracy.
    pub overall: Metrics,
    /// The metrics that were asked for by [`Trainer::metric`](crate::Trainer::metric), by name; `None` for one that the samples
    /// leave undefined.
    pub metrics: BTreeMap<String, Option<f64>>,
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.overall.fmt(f)?;
        write_metrics(f, &self.metrics)
    }
}

/// Each metric behind a comma, as behind the loss of [`Metrics`].
pub(crate) fn write_metrics(out: &mut impl fmt::Write, metrics: &BTreeMap<String, Option<f64>>) -> fmt::Result {
    metrics.iter().try_for_each(|(name, value)| match value {
        Some(value) => write!(out, ", {name} {value:.4}"),
        None => write!(out, ", {name} undefined"),
    })
}

/// The mean loss and the accuracy over some samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The mean loss of a sample.
    #[serde(with = "exact")]
    pub loss: f64,
    /// The part of the targets that was predicted, between 0 and 1; `None` where targets are not class indices.
    #[serde(with = "exact::option")]
    pub accuracy: Option<f64>,
    /// The number of samples.
    pub samples: usize,
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        self.accuracy.map_or(Ok(()), |accuracy| write!(f, ", accuracy {:.2} %", 100.0 * accuracy))
    }
}

/// The sums of an epoch so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    #[serde(with = "exact")]
    loss: f64,
    samples: usize,
    accuracy: Accuracy,
}

impl Totals {
    /// Adds a batch of which `loss` is the mean.
    pub(crate) fn add(&mut self, loss: f64, logits: &Tensor, targets: &Tensor) -> Result<()> {
        let samples = logits.dims().first().copied().unwrap_or(0);
        self.accuracy.count(logits, targets)?;
        self.loss += loss * samples as f64;
        self.samples += samples;
        Ok(())
    }

    /// The sums as numbers, for [`add_numbers`](Totals::add_numbers).
    pub(crate) fn numbers(&self) -> [f64; 4] {
        [self.loss, self.samples as f64, self.accuracy.correct as f64, self.accuracy.total as f64]
    }

    /// Adds sums that [`numbers`](Totals::numbers) gave.
    pub(crate) fn add_numbers(&mut self, [loss, samples, correct, total]: [f64; 4]) {
        self.loss += loss;
        self.samples += samples as usize;
        self.accuracy.correct += correct as u64;
        self.accuracy.total += total as u64;
    }

    /// The means; the loss is NaN over no sample.
    pub(crate) fn metrics(&self) -> Metrics {
        let loss = self.loss / self.samples as f64;
        Metrics { loss, accuracy: self.accuracy.value(), samples: self.samples }
    }
}
