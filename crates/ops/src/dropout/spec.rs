//! From a probability and a draw to the mask they stand for.

use crate::{Draw, Error, Result};
use candle_core::Shape;
use std::ops::Range;

/// Which elements of a tensor are kept, and what becomes of both kinds: a description, never a tensor.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    pub(super) op: &'static str,
    pub(super) shape: Shape,
    pub(super) draw: Draw,
    /// The index, in the whole batch, of the tensor's first draw.
    pub(super) first: u64,
    /// The number of neighbouring elements that each draw decides.
    pub(super) run: usize,
    /// Elements are kept where their word is at least this; `None` where nothing is kept.
    pub(super) threshold: Option<u32>,
    /// A kept x becomes `x · scale + shift`.
    pub(super) scale: f64,
    pub(super) shift: f64,
    /// What is not kept becomes this.
    pub(super) dropped: f64,
}

/// What changes nothing that it is added to: 0 would change -0.
const NO_SHIFT: f64 = -0.;

impl Mask {
    /// Kept elements are scaled so that the expectation stays, the others are 0.
    ///
    /// The axes before `drawn` count the samples, the axes `drawn` a sample's draws, and what lies along the others falls
    /// under one draw.
    pub(super) fn new(op: &'static str, shape: &Shape, drawn: Range<usize>, p: f64, draw: Draw) -> Result<Self> {
        check(op, p)?;
        // An empty tensor may claim any extents.
        let product =
            |axes: &mut dyn Iterator<Item = &usize>| axes.fold(1, |product: usize, &l| product.saturating_mul(l));
        let per_sample = product(&mut shape.dims().iter().take(drawn.end).skip(drawn.start));
        let run = product(&mut shape.dims().iter().skip(drawn.end));
        Ok(Self {
            op,
            shape: shape.clone(),
            draw,
            first: draw.first_index(op, per_sample, shape.elem_count())?,
            run,
            threshold: (p < 1.).then_some((p * 4_294_967_296.) as u32),
            scale: 1. / (1. - p),
            shift: NO_SHIFT,
            dropped: 0.,
        })
    }

    /// Dropped elements take the value that a SELU tends to, and all are scaled and shifted so that a mean of 0 and a
    /// variance of 1 stay.
    pub(super) fn alpha(self, p: f64) -> Self {
        /// Minus the limit of SELU at −∞: the product of its two constants.
        const ALPHA: f64 = 1.758_099_340_847_376_6;
        let spread = ALPHA * ALPHA * p + 1.;
        let scale = 1. / (spread * (1. - p)).sqrt();
        // a·(1 − p), which is 0 where a is infinite.
        let kept = ((1. - p) / spread).sqrt();
        Self { scale, shift: scale * ALPHA * p, dropped: 0. - ALPHA * kept, ..self }
    }

    /// The derivative: as a map of x it is linear, but for the constants.
    pub(super) fn linear(&self) -> Self {
        Self { shift: NO_SHIFT, dropped: 0., ..self.clone() }
    }
}

/// Refuses what is no probability.
pub(crate) fn check(op: &'static str, p: f64) -> Result<()> {
    if (0. ..=1.).contains(&p) { Ok(()) } else { Err(Error::Probability { op, p }) }
}
