//! Precision, recall and F1: what each class owes and is owed, averaged.

use super::Metric;
use super::rows::{Rows, predicted};
use crate::{Error, Result};
use candle_core::Tensor;

/// How the scores of the classes become one number.
///
/// A class that is neither among the targets nor predicted is no class of these samples, and has no part in any average. One
/// that is only one of the two, so that its score would be a share of nothing, has the score 0. Both are as in scikit-learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The mean of the classes' scores.
    Macro,
    /// The score of all classes' counts together.
    Micro,
    /// The mean of the classes' scores, weighted by their targets.
    Weighted,
    /// The score of this class alone; undefined where it would be a share of nothing.
    Class(usize),
}

impl Average {
    fn name(self, score: &str) -> String {
        match self {
            Self::Macro => format!("{score}_macro"),
            Self::Micro => format!("{score}_micro"),
            Self::Weighted => format!("{score}_weighted"),
            Self::Class(class) => format!("{score}_class{class}"),
        }
    }
}

/// Of the predictions of a class, the share that is right.
///
/// # Formula
/// The right predictions of a class over all predictions of it. [`Average`] says how those of the classes become one number.
///
/// Source: scikit-learn's `precision_score` with `zero_division=0`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Average, Metric, Precision};
///
/// let mut precision = Precision::new(Average::Class(1));
/// let logits = Tensor::new(&[[0f32, 1.], [0., 1.], [0., 1.], [1., 0.]], &Device::Cpu)?;
/// precision.update(&logits, &Tensor::new(&[1u32, 1, 0, 1], &Device::Cpu)?, 0.7)?;
/// assert_eq!((precision.name(), precision.value()), ("precision_class1".to_owned(), Some(2.0 / 3.0)));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precision {
    average: Average,
    counts: ClassCounts,
}

impl Precision {
    /// Of the classes, averaged so.
    pub fn new(average: Average) -> Self {
        Self { average, counts: ClassCounts::default() }
    }
}

impl Metric for Precision {
    fn name(&self) -> String {
        self.average.name("precision")
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        self.counts.update("Precision", self.average, logits, targets)
    }

    fn value(&self) -> Option<f64> {
        self.counts.averaged(self.average, PRECISION)
    }

    fn reset(&mut self) {
        self.counts = ClassCounts::default();
    }
}

/// Of the targets of a class, the share that is predicted.
///
/// # Formula
/// The right predictions of a class over all targets of it. [`Average`] says how those of the classes become one number.
///
/// Source: scikit-learn's `recall_score` with `zero_division=0`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Average, Metric, Recall};
///
/// let mut recall = Recall::new(Average::Class(1));
/// let logits = Tensor::new(&[[0f32, 1.], [0., 1.], [0., 1.], [1., 0.]], &Device::Cpu)?;
/// recall.update(&logits, &Tensor::new(&[1u32, 1, 0, 1], &Device::Cpu)?, 0.7)?;
/// assert_eq!((recall.name(), recall.value()), ("recall_class1".to_owned(), Some(2.0 / 3.0)));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    average: Average,
    counts: ClassCounts,
}

impl Recall {
    /// Of the classes, averaged so.
    pub fn new(average: Average) -> Self {
        Self { average, counts: ClassCounts::default() }
    }
}

impl Metric for Recall {
    fn name(&self) -> String {
        self.average.name("recall")
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        self.counts.update("Recall", self.average, logits, targets)
    }

    fn value(&self) -> Option<f64> {
        self.counts.averaged(self.average, RECALL)
    }

    fn reset(&mut self) {
        self.counts = ClassCounts::default();
    }
}

/// The harmonic mean of precision and recall.
///
/// # Formula
/// Twice the right predictions of a class over its predictions and targets together. [`Average`] says how those of the classes become one number.
///
/// Source: scikit-learn's `f1_score` with `zero_division=0`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_trainer::{Average, Metric, F1};
///
/// let mut f1 = F1::new(Average::Class(1));
/// let logits = Tensor::new(&[[0f32, 1.], [0., 1.], [0., 1.], [1., 0.]], &Device::Cpu)?;
/// f1.update(&logits, &Tensor::new(&[1u32, 1, 0, 1], &Device::Cpu)?, 0.7)?;
/// assert_eq!((f1.name(), f1.value()), ("f1_class1".to_owned(), Some(2.0 / 3.0)));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct F1 {
    average: Average,
    counts: ClassCounts,
}

impl F1 {
    /// Of the classes, averaged so.
    pub fn new(average: Average) -> Self {
        Self { average, counts: ClassCounts::default() }
    }
}

impl Metric for F1 {
    fn name(&self) -> String {
        self.average.name("f1")
    }

    fn update(&mut self, logits: &Tensor, targets: &Tensor, _: f64) -> Result<()> {
        self.counts.update("F1", self.average, logits, targets)
    }

    fn value(&self) -> Option<f64> {
        self.counts.averaged(self.average, F_1)
    }

    fn reset(&mut self) {
        self.counts = ClassCounts::default();
    }
}

/// What is counted of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ClassCount {
    /// The targets of this class that were predicted.
    pub(super) right: u64,
    pub(super) predictions: u64,
    pub(super) targets: u64,
}

/// A score as a fraction, whose denominator may be 0.
pub(super) type Score = fn(ClassCount) -> (u64, u64);

pub(super) const PRECISION: Score = |it| (it.right, it.predictions);
pub(super) const RECALL: Score = |it| (it.right, it.targets);
pub(super) const F_1: Score = |it| (2 * it.right, it.predictions + it.targets);

/// A fraction's value, where it is one.
pub(super) fn ratio((part, whole): (u64, u64)) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The counts of all classes, which the first batch tells the number of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ClassCounts(Vec<ClassCount>);

impl ClassCounts {
    fn update(&mut self, op: &'static str, average: Average, logits: &Tensor, targets: &Tensor) -> Result<()> {
        let Some(rows) = Rows::new(op, logits, targets)? else { return Ok(()) };
        if let Average::Class(class) = average
            && class >= rows.classes
        {
            let value = format!("{class} of {}", rows.classes);
            return Err(Error::Value { op, argument: "class", expected: "one that there are logits of", value });
        }
        rows.check_classes(op, self.0.len())?;
        self.0.resize(rows.classes, ClassCount::default());
        for (scores, target) in rows.iter() {
            let predicted = predicted(scores);
            self.0[predicted].predictions += 1;
            self.0[target].targets += 1;
            self.0[target].right += u64::from(predicted == target);
        }
        Ok(())
    }

    fn averaged(&self, average: Average, score: Score) -> Option<f64> {
        let known = || self.0.iter().copied().filter(|it| it.predictions + it.targets > 0);
        match average {
            Average::Class(class) => ratio(score(*self.0.get(class)?)),
            Average::Micro => {
                let sums = known().map(score).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                ratio(sums)
            }
            Average::Macro => weighted(known().map(|it| (1, ratio(score(it)).unwrap_or(0.0)))),
            Average::Weighted => weighted(known().map(|it| (it.targets, ratio(score(it)).unwrap_or(0.0)))),
        }
    }
}

fn weighted(values: impl Iterator<Item = (u64, f64)>) -> Option<f64> {
    let (weights, sum) =
        values.fold((0, 0.0), |(weights, sum), (weight, value)| (weights + weight, sum + weight as f64 * value));
    (weights > 0).then(|| sum / weights as f64)
}
