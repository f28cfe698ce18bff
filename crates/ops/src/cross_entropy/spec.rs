//! What a caller may ask of the cross entropy, and the checked form of it.

use crate::classes::{ClassDims, ClassWeights, Classes, holds_indices};
use crate::error::expect_shape;
use crate::{Error, Reduction, Result};
use candle_core::Tensor;

/// The options of [`cross_entropy`](crate::cross_entropy).
///
/// ```
/// use taper_ops::{CrossEntropySpec, Reduction};
///
/// let spec = CrossEntropySpec::default().label_smoothing(0.1).reduction(Reduction::Sum);
/// assert_eq!(spec.ignore_index, -100);
/// ```
#[derive(Debug, Clone)]
pub struct CrossEntropySpec {
    /// Default: [`Reduction::Mean`].
    pub reduction: Reduction,
    /// The share ε ∈ [0, 1] of the target that is spread evenly over all classes. Default: 0.
    pub label_smoothing: f64,
    /// A class index whose positions count for nothing. Default: −100. Class probabilities cannot be ignored: with them it
    /// must be negative.
    pub ignore_index: i64,
    /// A weight for each class, `[C]`, in the dtype of the logits; a constant. Default: all 1.
    pub weight: Option<Tensor>,
}

impl Default for CrossEntropySpec {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, label_smoothing: 0., ignore_index: -100, weight: None }
    }
}

impl CrossEntropySpec {
    /// Sets [`reduction`](Self::reduction).
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// Sets [`label_smoothing`](Self::label_smoothing).
    pub fn label_smoothing(self, label_smoothing: f64) -> Self {
        Self { label_smoothing, ..self }
    }

    /// Sets [`ignore_index`](Self::ignore_index).
    pub fn ignore_index(self, ignore_index: i64) -> Self {
        Self { ignore_index, ..self }
    }

    /// Sets [`weight`](Self::weight).
    pub fn weight(self, weight: Tensor) -> Self {
        Self { weight: Some(weight), ..self }
    }
}

/// What each position should have been.
#[derive(Debug)]
pub(super) enum Target {
    /// A class each.
    Classes(Classes),
    /// A distribution over the classes each, given as a second tensor.
    Probabilities,
}

/// A call whose arguments belong together.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) dims: ClassDims,
    pub(super) target: Target,
    pub(super) reduction: Reduction,
    pub(super) label_smoothing: f64,
    pub(super) weight: ClassWeights,
    /// What the sum of losses is divided by: not 1 only for a mean.
    pub(super) divisor: f64,
}

impl Loss {
    pub(super) fn new(op: &'static str, logits: &Tensor, target: &Tensor, spec: &CrossEntropySpec) -> Result<Self> {
        let dims = ClassDims::new(op, "logits", logits.dims())?;
        if !(0. ..=1.).contains(&spec.label_smoothing) {
            let (argument, expected) = ("label_smoothing", "between 0 and 1");
            return Err(Error::Value { op, argument, expected, value: spec.label_smoothing });
        }
        let weight = ClassWeights::new(op, logits, dims.classes, spec.weight.as_ref())?;
        let (target, total) = read_target(op, &dims, target, spec, &weight)?;
        let divisor = spec.reduction.divisor(op, dims.samples, "the total weight of the targets", total)?.unwrap_or(1.);
        let (reduction, label_smoothing) = (spec.reduction, spec.label_smoothing);
        Ok(Self { dims, target, reduction, label_smoothing, weight, divisor })
    }

    pub(super) fn output_shape(&self) -> Vec<usize> {
        match self.reduction {
            Reduction::None => self.dims.position_shape(),
            Reduction::Sum | Reduction::Mean | Reduction::BatchMean => vec![],
        }
    }
}

/// The target, and what a mean divides by.
fn read_target(
    op: &'static str,
    dims: &ClassDims,
    target: &Tensor,
    spec: &CrossEntropySpec,
    weight: &ClassWeights,
) -> Result<(Target, f64)> {
    if target.dtype().is_float() {
        expect_shape(op, "target (class probabilities)", &dims.shape, target)?;
        if spec.ignore_index >= 0 {
            let (argument, expected) = ("ignore_index", "negative (unused) with class probabilities");
            return Err(Error::Value { op, argument, expected, value: spec.ignore_index as f64 });
        }
        return Ok((Target::Probabilities, dims.positions() as f64));
    }
    if !holds_indices(target) {
        let supported = "u8, u32, i64 (class indices) or the dtype of the logits (class probabilities)";
        return Err(Error::DType { op, dtype: target.dtype(), supported });
    }
    let (classes, total) = dims.read(op, target, spec.ignore_index, weight)?;
    Ok((Target::Classes(classes), total))
}
