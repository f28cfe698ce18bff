//! What a caller may ask of the elementwise losses, and the checks of it.

use crate::cuda::{self, Buffer};
use crate::error::expect_shape;
use crate::{Error, Reduction, Result};
use candle_core::{DType, Tensor};
use std::sync::Arc;

/// The options of [`binary_cross_entropy_with_logits`](crate::binary_cross_entropy_with_logits).
///
/// ```
/// use taper_ops::{BinaryCrossEntropySpec, Reduction};
///
/// let spec = BinaryCrossEntropySpec::default().reduction(Reduction::Sum);
/// assert!(spec.pos_weight.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct BinaryCrossEntropySpec {
    /// Default: [`Reduction::Mean`].
    pub reduction: Reduction,
    /// A weight for each loss, of a shape that broadcasts to the logits' and in their dtype; a constant. Default: all 1.
    pub weight: Option<Tensor>,
    /// A weight for the positive part of each target, of a shape that broadcasts to the logits', `[C]` for `[N, C]`, and in
    /// their dtype; a constant. Default: all 1.
    pub pos_weight: Option<Tensor>,
}

impl BinaryCrossEntropySpec {
    /// Sets [`reduction`](Self::reduction).
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// Sets [`weight`](Self::weight).
    pub fn weight(self, weight: Tensor) -> Self {
        Self { weight: Some(weight), ..self }
    }

    /// Sets [`pos_weight`](Self::pos_weight).
    pub fn pos_weight(self, pos_weight: Tensor) -> Self {
        Self { pos_weight: Some(pos_weight), ..self }
    }
}

/// What the sum of the losses of `x` and `target`, which must have one shape, is divided by; `None` where they are not added.
pub(super) fn divisor(op: &'static str, x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Option<f64>> {
    expect_shape(op, "target", x.dims(), target)?;
    let samples = x.dims().first().copied().unwrap_or(1);
    reduction.divisor(op, samples, "the number of elements", x.elem_count() as f64)
}

/// A weight for each element of a tensor, where the tensor is.
#[derive(Debug, Clone)]
pub(super) enum Weights {
    OnHost(Arc<[f64]>),
    /// In the tensor's own type.
    OnDevice(Arc<Buffer>),
}

/// A weight for each element of `x`.
pub(super) fn weights(
    op: &'static str,
    argument: &'static str,
    x: &Tensor,
    weight: Option<&Tensor>,
) -> Result<Option<Weights>> {
    let Some(weight) = weight else {
        return Ok(None);
    };
    if weight.dtype() != x.dtype() {
        return Err(Error::DTypeMismatch { op, left: x.dtype(), right: weight.dtype() });
    }
    let spread = weight.broadcast_as(x.shape()).map_err(|_| Error::Shape {
        op,
        argument,
        expected: x.dims().to_vec(),
        shape: weight.dims().to_vec(),
    })?;
    Ok(Some(if cuda::runs_on(x.device()) {
        Weights::OnDevice(Arc::new(cuda::copy(op, &spread)?))
    } else {
        Weights::OnHost(spread.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?.into())
    }))
}
