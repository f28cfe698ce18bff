//! What a caller may ask of the negative log-likelihood, and the checked form of it.

use crate::classes::{ClassDims, ClassWeights, Classes, holds_indices};
use crate::{Error, Reduction, Result};
use candle_core::Tensor;

/// The options of [`nll_loss`](crate::nll_loss).
///
/// ```
/// use taper_ops::{NllLossSpec, Reduction};
///
/// let spec = NllLossSpec::default().ignore_index(255).reduction(Reduction::Sum);
/// assert!(spec.weight.is_none());
/// ```
#[derive(Debug, Clone)]
pub struct NllLossSpec {
    /// Default: [`Reduction::Mean`].
    pub reduction: Reduction,
    /// A class index whose positions count for nothing. Default: −100.
    pub ignore_index: i64,
    /// A weight for each class, `[C]`, in the dtype of the log-probabilities; a constant. Default: all 1.
    pub weight: Option<Tensor>,
}

impl Default for NllLossSpec {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, ignore_index: -100, weight: None }
    }
}

impl NllLossSpec {
    /// Sets [`reduction`](Self::reduction).
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
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

/// A call whose arguments belong together.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) dims: ClassDims,
    pub(super) targets: Classes,
    pub(super) weight: ClassWeights,
    /// What the sum of the losses is divided by; `None` where they are not added.
    pub(super) divisor: Option<f64>,
}

impl Loss {
    pub(super) fn new(op: &'static str, log_p: &Tensor, target: &Tensor, spec: &NllLossSpec) -> Result<Self> {
        let dims = ClassDims::new(op, "log_probabilities", log_p.dims())?;
        if !holds_indices(target) {
            return Err(Error::DType { op, dtype: target.dtype(), supported: "u8, u32, i64 (class indices)" });
        }
        let weight = ClassWeights::new(op, log_p, dims.classes, spec.weight.as_ref())?;
        let (targets, total) = dims.read(op, target, spec.ignore_index, &weight)?;
        let divisor = spec.reduction.divisor(op, dims.samples, "the total weight of the targets", total)?;
        Ok(Self { dims, targets, weight, divisor })
    }

    pub(super) fn output_shape(&self) -> Vec<usize> {
        if self.divisor.is_some() { vec![] } else { self.dims.position_shape() }
    }
}
