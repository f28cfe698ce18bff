//! The extents of a softmax along an axis.

use crate::Result;
use candle_core::Shape;
use candle_core::shape::Dim;

/// A tensor seen as `[outer, classes, inner]`.
#[derive(Debug, Clone)]
pub(super) struct SoftmaxDims {
    pub(super) shape: Shape,
    pub(super) axis: usize,
    pub(super) classes: usize,
    pub(super) inner: usize,
}

impl SoftmaxDims {
    pub(super) fn new(op: &'static str, shape: &Shape, axis: impl Dim) -> Result<Self> {
        let axis = axis.to_index(shape, op)?;
        let dims = shape.dims();
        let (classes, inner) = (dims[axis], dims[axis + 1..].iter().product());
        Ok(Self { shape: shape.clone(), axis, classes, inner })
    }
}
