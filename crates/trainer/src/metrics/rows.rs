//! Logits and targets as numbers, a row of scores a target.

use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// The scores of each target's place, and the class that it is of.
pub(super) struct Rows {
    pub(super) classes: usize,
    scores: Vec<f64>,
    targets: Vec<usize>,
}

impl Rows {
    /// Logits `[N, C, …]` and integer targets `[N, …]`; none for targets of a floating-point dtype, which are no classes.
    pub(super) fn new(op: &'static str, logits: &Tensor, targets: &Tensor) -> Result<Option<Self>> {
        if targets.dtype().is_float() {
            return Ok(None);
        }
        check_shapes(op, logits, targets)?;
        let classes = logits.dims()[1];
        let targets = targets.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
        let class = |target: i64| {
            usize::try_from(target).ok().filter(|target| *target < classes).ok_or_else(|| Error::Value {
                op,
                argument: "targets",
                expected: "classes that there are logits of",
                value: format!("class {target} of {classes}"),
            })
        };
        let targets = targets.into_iter().map(class).collect::<Result<_>>()?;
        // The classes last, as if each place of a map were a sample.
        let (samples, places) = (logits.dims()[0], logits.dims()[2..].iter().product::<usize>());
        let scores = logits.detach().to_dtype(DType::F64)?.reshape((samples, classes, places))?.transpose(1, 2)?;
        Ok(Some(Self { classes, scores: scores.flatten_all()?.to_vec1()?, targets }))
    }

    /// Refuses another number of classes than batches before had; with 0, there were none.
    pub(super) fn check_classes(&self, op: &'static str, before: usize) -> Result<()> {
        if before == 0 || self.classes == before {
            return Ok(());
        }
        let value = format!("{} after {before}", self.classes);
        Err(Error::Value { op, argument: "classes", expected: "as many in each batch", value })
    }

    /// The scores of all classes, and the target.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[f64], usize)> {
        self.scores.chunks_exact(self.classes.max(1)).zip(self.targets.iter().copied())
    }
}

/// The class of the highest score: of equal ones the first, and one that is not a number before any.
pub(crate) fn predicted(scores: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] || (score.is_nan() && !scores[best].is_nan()) {
            best = class;
        }
    }
    best
}

/// Refuses targets that are not `[N, …]` for logits `[N, C, …]`.
pub(super) fn check_shapes(op: &'static str, logits: &Tensor, targets: &Tensor) -> Result<()> {
    if let ([n, _, places @ ..], [count, rest @ ..]) = (logits.dims(), targets.dims())
        && (n, places) == (count, rest)
    {
        return Ok(());
    }
    let value = format!("{:?} for logits {:?}", targets.dims(), logits.dims());
    Err(Error::Value { op, argument: "targets", expected: "[N, …] for logits [N, C, …]", value })
}
