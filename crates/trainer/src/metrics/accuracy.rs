//! How many predictions are right, or nearly so.

use super::Metric;
use super::rows::{self, Rows};
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How many class indices were predicted: `logits` `[N, C, …]`, of which the largest along C is the prediction (of equal ones
/// the first), for integer `targets` `[N, …]`. Without any it is undefined.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Accuracy, Metric};
///
/// let mut accuracy = Accuracy::default();
/// let logits = Tensor::new(&[[0.1f32, 2., 0.3], [1., 0., 0.]], &Device::Cpu)?;
/// accuracy.update(&logits, &Tensor::new(&[1u32, 2], &Device::Cpu)?, 0.7)?;
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
    pub(super) fn count(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        if targets.dtype().is_float() {
            return Ok(());
        }
        rows::check_shapes("Accuracy", logits, targets)?;
        // candle takes no maximum of nothing.
        if targets.elem_count() == 0 {
            return Ok(());
        }
        let predicted = logits.detach().argmax(1)?.to_dtype(DType::I64)?;
        let hits = predicted.eq(&targets.to_dtype(DType::I64)?)?.to_dtype(DType::I64)?.flatten_all()?;
        self.correct += hits.to_vec1::<i64>()?.iter().sum::<i64>() as u64;
        self.total += targets.elem_count() as u64;
        Ok(())
    }
}

impl Metric for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_owned()
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        self.count(logits, targets)
    }

    fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.correct as f64 / self.total as f64)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How many targets are among the `k` classes of the highest logits: `logits` `[N, C, …]` and integer `targets` `[N, …]`. Of equal
/// logits the first counts as the higher one, so that with `k` 1 it is [`Accuracy`]. Without any target it is undefined.
///
/// Source: scikit-learn's `top_k_accuracy_score`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Metric, TopK};
///
/// let mut top2 = TopK::new(2)?;
/// let logits = Tensor::new(&[[0.1f32, 2., 0.3], [1., 0., 0.5]], &Device::Cpu)?;
/// top2.update(&logits, &Tensor::new(&[2u32, 1], &Device::Cpu)?, 0.7)?;
/// assert_eq!((top2.name(), top2.value()), ("top2_accuracy".to_owned(), Some(0.5)));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopK {
    k: usize,
    counted: Accuracy,
}

impl TopK {
    /// Counts targets among the `k` highest.
    ///
    /// # Errors
    /// When `k` is 0.
    pub fn new(k: usize) -> Result<Self> {
        if k == 0 {
            return Err(Error::Value { op: "TopK", argument: "k", expected: "at least 1", value: "0".to_owned() });
        }
        Ok(Self { k, counted: Accuracy::default() })
    }
}

impl Metric for TopK {
    fn name(&self) -> String {
        format!("top{}_accuracy", self.k)
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        let Some(rows) = Rows::new("TopK", logits, targets)? else { return Ok(()) };
        for (scores, target) in rows.iter() {
            let own = scores[target];
            let ahead = |(class, score): &(usize, &f64)| match score.partial_cmp(&&own) {
                // One that is not a number is ahead of any, as it is where the highest is sought.
                Some(Ordering::Greater) | None => true,
                Some(Ordering::Equal) => *class < target,
                Some(Ordering::Less) => false,
            };
            let before = scores.iter().enumerate().filter(|it| it.0 != target).filter(ahead).count();
            self.counted.correct += u64::from(before < self.k && !own.is_nan());
            self.counted.total += 1;
        }
        Ok(())
    }

    fn value(&self) -> Option<f64> {
        self.counted.value()
    }

    fn reset(&mut self) {
        self.counted.reset();
    }
}
