//! How the losses of many elements become one.

use crate::{Error, Result};

/// How the losses of the elements (of the positions, where classes are compared) become one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// They stay as they are, one an element.
    None,
    /// Their sum.
    Sum,
    /// Their sum, divided by the number of elements; with class indices, by the total class weight of the targets that are
    /// not ignored (their number, where there are no class weights).
    #[default]
    Mean,
    /// Their sum, divided by the number of samples, the first extent: what makes `kl_div` the mean divergence of
    /// distributions.
    BatchMean,
}

impl Reduction {
    /// What the sum of the losses is divided by, `None` where they are not added: `total`, which `named` says in words,
    /// for a mean. A mean over nothing has no value and is refused.
    pub(crate) fn divisor(
        self,
        op: &'static str,
        samples: usize,
        named: &'static str,
        total: f64,
    ) -> Result<Option<f64>> {
        let (argument, value) = match self {
            Self::None => return Ok(None),
            Self::Sum => return Ok(Some(1.)),
            Self::Mean => (named, total),
            Self::BatchMean => ("the number of samples", samples as f64),
        };
        if value == 0. {
            let expected = "other than zero for a mean (is all of it ignored? use Reduction::Sum)";
            return Err(Error::Value { op, argument, expected, value });
        }
        Ok(Some(value))
    }
}
