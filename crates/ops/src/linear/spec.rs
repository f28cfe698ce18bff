//! The extents of an affine map, checked.

use crate::{Error, Result};
use candle_core::Shape;

/// The extents of `linear` and of its gradients.
#[derive(Debug, Clone)]
pub(super) struct LinearDims {
    /// The axes before the last.
    leading: Vec<usize>,
    /// Their product.
    pub(super) rows: usize,
    pub(super) in_features: usize,
    pub(super) out_features: usize,
}

impl LinearDims {
    pub(super) fn new(op: &'static str, x: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Result<Self> {
        let &[out_features, in_features] = weight else {
            return Err(Error::Rank { op, argument: "weight", expected: "2", shape: weight.to_vec() });
        };
        let Some((&features, leading)) = x.split_last() else {
            return Err(Error::Rank { op, argument: "input", expected: "1 or more", shape: x.to_vec() });
        };
        if features != in_features {
            let expected = [leading, &[in_features]].concat();
            return Err(Error::Shape { op, argument: "input", expected, shape: x.to_vec() });
        }
        if let Some(bias) = bias
            && bias != [out_features]
        {
            return Err(Error::Shape { op, argument: "bias", expected: vec![out_features], shape: bias.to_vec() });
        }
        Ok(Self { leading: leading.to_vec(), rows: leading.iter().product(), in_features, out_features })
    }

    pub(super) fn x_shape(&self) -> Shape {
        Shape::from([self.leading.as_slice(), &[self.in_features]].concat())
    }

    pub(super) fn weight_shape(&self) -> Shape {
        Shape::from((self.out_features, self.in_features))
    }

    pub(super) fn y_shape(&self) -> Shape {
        Shape::from([self.leading.as_slice(), &[self.out_features]].concat())
    }
}
