//! From a probability and a draw to the mask they stand for.

use crate::{Draw, Error, Result};
use candle_core::Shape;

/// Which elements of a tensor are kept: a description, never a tensor.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    pub(super) shape: Shape,
    pub(super) draw: Draw,
    /// The index, in the whole batch, of the tensor's first element.
    pub(super) first: u64,
    /// An element is kept where its word is at least this; `None` where nothing is kept.
    pub(super) threshold: Option<u32>,
    /// What a kept element is multiplied by.
    pub(super) scale: f64,
}

impl Mask {
    pub(super) fn new(op: &'static str, shape: &Shape, p: f64, draw: Draw) -> Result<Self> {
        if !(0. ..=1.).contains(&p) {
            return Err(Error::Probability { op, p });
        }
        // The first axis counts the samples; a scalar is one sample.
        let per_sample = shape.dims().iter().skip(1).product();
        let first = draw.first_index(op, per_sample, shape.elem_count())?;
        let threshold = (p < 1.).then_some((p * 4_294_967_296.) as u32);
        Ok(Self { shape: shape.clone(), draw, first, threshold, scale: 1. / (1. - p) })
    }
}
