//! From a probability, a block size and a draw to the mask they stand for.

use crate::dropout::check_probability;
use crate::planes::{Planes, split};
use crate::{Draw, Error, Result};

/// Which blocks of each plane are dropped: a description, never a tensor.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) planes: Planes,
    pub(super) width: usize,
    pub(super) block_size: usize,
    /// Where a block may start, along both axes.
    pub(super) starts: [usize; 2],
    pub(super) draw: Draw,
    /// The index, in the whole batch, of the tensor's first draw.
    pub(super) first: u64,
    /// A block is dropped where its word is less than this: at most 2³².
    pub(super) threshold: u64,
}

impl Blocks {
    pub(super) fn new(op: &'static str, shape: &[usize], p: f64, block_size: usize, draw: Draw) -> Result<Self> {
        let (lead, [height, width]) = split::<2>(op, "input", shape)?;
        check_probability(op, p)?;
        if block_size == 0 {
            return Err(Error::NotPositive { op, argument: "block_size", value: vec![block_size] });
        }
        if height == 0 || width == 0 {
            let argument = "every extent of a plane of the input";
            return Err(Error::NotPositive { op, argument, value: vec![height, width] });
        }
        let planes = Planes::new(op, lead, &[height, width], &[height, width])?;
        let block_size = block_size.min(height).min(width);
        let starts = [height - block_size + 1, width - block_size + 1];
        let per_plane = starts[0] * starts[1];
        let per_sample = lead[lead.len() - 1].saturating_mul(per_plane);
        let first = draw.first_index(op, per_sample, planes.output_len)?;
        let square = block_size as f64 * block_size as f64;
        let gamma = (p * planes.plane_in as f64 / (square * per_plane as f64)).min(1.);
        let threshold = (gamma * 4_294_967_296.) as u64;
        Ok(Self { planes, width, block_size, starts, draw, first, threshold })
    }
}
