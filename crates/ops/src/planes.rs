//! The planes of a pooling: `[N, C, axes…]` or `[C, axes…]`, each plane pooled on its own, whatever its windows.

use crate::{Error, Result};

/// From planes of the input to planes of the output.
#[derive(Debug)]
pub(crate) struct Planes {
    /// The operator, for error messages.
    pub(crate) op: &'static str,
    /// The input's shape as given.
    pub(crate) input: Vec<usize>,
    /// The output's shape, of the input's rank.
    pub(crate) output: Vec<usize>,
    /// Elements of one plane of the input.
    pub(crate) plane_in: usize,
    /// Elements of one plane of the output.
    pub(crate) plane_out: usize,
    /// Elements of the whole output.
    pub(crate) output_len: usize,
}

/// The axes of `shape` that number the planes, and the `D` within a plane.
pub(crate) fn split<'a, const D: usize>(
    op: &'static str,
    argument: &'static str,
    shape: &'a [usize],
) -> Result<(&'a [usize], [usize; D])> {
    const { assert!(0 < D && D <= 3, "pooling runs over one to three axes") };
    match shape.split_last_chunk() {
        Some((lead, extents)) if matches!(lead.len(), 1 | 2) => Ok((lead, *extents)),
        _ => {
            let expected = ["2 or 3", "3 or 4", "4 or 5"][D - 1];
            Err(Error::Rank { op, argument, expected, shape: shape.to_vec() })
        }
    }
}

impl Planes {
    /// From planes of `extents` to planes of `inner`, numbered by `lead`.
    pub(crate) fn new(op: &'static str, lead: &[usize], extents: &[usize], inner: &[usize]) -> Result<Self> {
        product(op, "the input", lead)?;
        let output = [lead, inner].concat();
        let output_len = product(op, "the output", &output)?;
        // A user may ask for an output of any size; this much no slice could hold, nor the tables of its windows, nor,
        // where there is no sample, its strides.
        let whole: Vec<usize> = output.iter().map(|&extent| extent.max(1)).collect();
        if product(op, "the output", &whole)? > isize::MAX as usize / size_of::<[usize; 8]>() {
            return Err(Error::Overflow { op, what: "the output" });
        }
        Ok(Self {
            op,
            input: [lead, extents].concat(),
            plane_in: product(op, "the input", extents)?,
            plane_out: product(op, "the output", inner)?,
            output_len,
            output,
        })
    }

    /// Whether there is no plane: such a tensor may claim any extent, and needs no tables.
    pub(crate) fn is_empty(&self) -> bool {
        self.output_len == 0
    }
}

fn product(op: &'static str, what: &'static str, extents: &[usize]) -> Result<usize> {
    extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)).ok_or(Error::Overflow { op, what })
}
