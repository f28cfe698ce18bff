//! Which elements share a slope.

use crate::{Error, Result};
use candle_core::Shape;

/// Elements a run, where all elements share one slope.
const RUN: usize = 1 << 12;

/// A tensor seen as `[…, channels, inner]`; where all share one slope, as one channel of runs.
#[derive(Debug, Clone)]
pub(super) struct PreluDims {
    pub(super) shape: Shape,
    pub(super) channels: usize,
    pub(super) inner: usize,
}

impl PreluDims {
    pub(super) fn new(op: &'static str, x: &Shape, weight: &[usize]) -> Result<Self> {
        let &[channels] = weight else {
            return Err(Error::Rank { op, argument: "weight", expected: "1", shape: weight.to_vec() });
        };
        let inner = match x.dims() {
            _ if channels == 1 => RUN,
            [_, given, inner @ ..] if *given == channels => inner.iter().product(),
            dims => {
                let (argument, expected) = ("weight", vec![dims.get(1).copied().unwrap_or(1)]);
                return Err(Error::Shape { op, argument, expected, shape: weight.to_vec() });
            }
        };
        Ok(Self { shape: x.clone(), channels, inner })
    }
}
