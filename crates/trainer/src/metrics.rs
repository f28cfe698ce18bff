//! What a run is judged by: sums over samples, in float64 and in the order of the batches, divided at the end. So a mean
//! is right over batches of unequal size, and a resumed epoch goes on with the same bits.

use crate::{Error, Result, exact};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// How many class indices were predicted.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::Accuracy;
///
/// let mut accuracy = Accuracy::default();
/// let logits = Tensor::new(&[[0.1f32, 2., 0.3], [1., 0., 0.]], &Device::Cpu)?;
/// accuracy.update(&logits, &Tensor::new(&[1u32, 2], &Device::Cpu)?)?;
/// assert_eq!(accuracy.value(), Some(0.5));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The predictions that were right.
    pub correct: u64,
    /// All predictions.
    pub total: u64,
}

impl Accuracy {
    /// Counts a batch: `logits` `[N, C, …]` of which the largest along C is the prediction (of equal ones the first), and
    /// integer `targets` `[N, …]`. Targets of a floating-point dtype are not counted.
    ///
    /// # Errors
    /// When the shapes do not belong together.
    pub fn update(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        if targets.dtype().is_float() {
            return Ok(());
        }
        let mut expected = logits.dims().to_vec();
        if expected.len() < 2 || {
            expected.remove(1);
            expected != targets.dims()
        } {
            let value = format!("{:?} for logits {:?}", targets.dims(), logits.dims());
            return Err(Error::Value {
                op: "Accuracy",
                argument: "targets",
                expected: "[N, …] for logits [N, C, …]",
                value,
            });
        }
        let predicted = logits.detach().argmax(1)?.to_dtype(DType::I64)?;
        let hits = predicted.eq(&targets.to_dtype(DType::I64)?)?.to_dtype(DType::I64)?.flatten_all()?;
        self.correct += hits.to_vec1::<i64>()?.iter().sum::<i64>() as u64;
        self.total += targets.elem_count() as u64;
        Ok(())
    }

    /// The part that was right; `None` when nothing was counted.
    pub fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.correct as f64 / self.total as f64)
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
        self.accuracy.update(logits, targets)?;
        self.loss += loss * samples as f64;
        self.samples += samples;
        Ok(())
    }

    /// The means; the loss is NaN over no sample.
    pub(crate) fn metrics(&self) -> Metrics {
        let loss = self.loss / self.samples as f64;
        Metrics { loss, accuracy: self.accuracy.value(), samples: self.samples }
    }
}
