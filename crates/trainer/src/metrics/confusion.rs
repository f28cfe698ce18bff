//! Which classes are taken for which.

use super::Metric;
use super::per_class::{ClassCount, F_1, PRECISION, RECALL, Score, ratio};
use super::rows::{Rows, predicted};
use crate::{Error, Result};
use candle_core::Tensor;
use std::fmt;

/// The matrix would take more than 128 MiB.
const MOST_CLASSES: usize = 1 << 12;

/// How often each class was taken for each: `logits` `[N, C, …]` and integer `targets` `[N, …]`. Its value is the share of the
/// diagonal, the accuracy; without any target it is undefined.
///
/// Its `Display` form is a table: a row a class of the targets, a column a prediction.
///
/// Source: scikit-learn's `confusion_matrix`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{ConfusionMatrix, Metric};
///
/// let mut confusion = ConfusionMatrix::default();
/// let logits = Tensor::new(&[[0f32, 1.], [0., 1.], [0., 1.], [1., 0.]], &Device::Cpu)?;
/// confusion.update(&logits, &Tensor::new(&[1u32, 1, 0, 1], &Device::Cpu)?, 0.7)?;
/// assert_eq!((confusion.count(1, 1), confusion.count(1, 0), confusion.count(0, 1)), (2, 1, 1));
/// assert_eq!(confusion.recall(), [Some(0.0), Some(2.0 / 3.0)]);
/// assert_eq!(confusion.to_string(), "  0 1\n0 0 1\n1 1 2\n");
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// A row a class of the targets.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// The number of classes, which the first batch tells; 0 before it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many targets of class `target` were predicted as `predicted`; 0 for what is no class.
    pub fn count(&self, target: usize, predicted: usize) -> u64 {
        if predicted >= self.classes {
            return 0;
        }
        self.counts.get(target.saturating_mul(self.classes).saturating_add(predicted)).copied().unwrap_or(0)
    }

    /// The [`Precision`](crate::Precision) of each class; `None` for one that was never predicted.
    pub fn precision(&self) -> Vec<Option<f64>> {
        self.scores(PRECISION)
    }

    /// The [`Recall`](crate::Recall) of each class; `None` for one of which there was no target.
    pub fn recall(&self) -> Vec<Option<f64>> {
        self.scores(RECALL)
    }

    /// The [`F1`](crate::F1) of each class; `None` for one that was neither a target nor predicted.
    pub fn f1(&self) -> Vec<Option<f64>> {
        self.scores(F_1)
    }

    fn scores(&self, score: Score) -> Vec<Option<f64>> {
        let of = |class| ClassCount {
            right: self.count(class, class),
            predictions: (0..self.classes).map(|target| self.count(target, class)).sum(),
            targets: (0..self.classes).map(|predicted| self.count(class, predicted)).sum(),
        };
        (0..self.classes).map(|class| ratio(score(of(class)))).collect()
    }
}

impl Metric for ConfusionMatrix {
    fn name(&self) -> String {
        "confusion_accuracy".to_owned()
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        let op = "ConfusionMatrix";
        let Some(rows) = Rows::new(op, logits, targets)? else { return Ok(()) };
        rows.check_classes(op, self.classes)?;
        if rows.classes > MOST_CLASSES {
            let (expected, value) = ("at most 4096", rows.classes.to_string());
            return Err(Error::Value { op, argument: "classes", expected, value });
        }
        self.classes = rows.classes;
        self.counts.resize(self.classes * self.classes, 0);
        for (scores, target) in rows.iter() {
            self.counts[target * self.classes + predicted(scores)] += 1;
        }
        Ok(())
    }

    fn value(&self) -> Option<f64> {
        ratio(((0..self.classes).map(|class| self.count(class, class)).sum(), self.counts.iter().sum()))
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.classes == 0 {
            return Ok(());
        }
        let most = self.counts.iter().copied().max().unwrap_or(0).max(self.classes as u64 - 1);
        let (width, first) = (most.to_string().len(), (self.classes - 1).to_string().len());
        write!(f, "{:first$}", "")?;
        (0..self.classes).try_for_each(|class| write!(f, " {class:width$}"))?;
        writeln!(f)?;
        for target in 0..self.classes {
            write!(f, "{target:first$}")?;
            (0..self.classes).try_for_each(|class| write!(f, " {:width$}", self.count(target, class)))?;
            writeln!(f)?;
        }
        Ok(())
    }
}
