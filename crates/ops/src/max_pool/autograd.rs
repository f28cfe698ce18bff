//! The pooling, the scatter that is its gradient and the gather that is the scatter's, each other's gradients in turn.

use super::cpu;
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use crate::window::PoolDims;
use crate::{Error, Result};
use candle_core::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Where the maxima lie, one an output: filled by the forward pass, read by the backward passes.
#[derive(Clone, Default)]
pub(super) struct Indices(Arc<OnceLock<Vec<i64>>>);

impl Indices {
    pub(super) fn get(&self) -> Result<&[i64]> {
        let unfilled = || candle_core::Error::Msg("max_pool: the indices are read before the forward pass".into());
        self.0.get().map(Vec::as_slice).ok_or_else(|| Error::Candle(unfilled()))
    }
}

/// `y = max over each window of x`, with the places of the maxima where `indices` asks for them.
pub(super) struct MaxPool {
    dims: Arc<PoolDims>,
    indices: Option<Indices>,
}

/// `dx[indices] += dy`.
struct Scatter {
    dims: Arc<PoolDims>,
    indices: Indices,
}

/// `y = x[indices]`.
struct Gather {
    dims: Arc<PoolDims>,
    indices: Indices,
}

impl MaxPool {
    pub(super) fn new(dims: PoolDims, indices: Option<Indices>) -> Self {
        Self { dims: Arc::new(dims), indices }
    }
}

impl Operator<1> for MaxPool {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(match &self.indices {
            None => cpu::forward(&self.dims, x),
            Some(indices) => {
                let (y, found) = cpu::forward_with_places(&self.dims, x);
                indices.0.get_or_init(|| found);
                y
            }
        })
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        // Never absent where x is tracked; the scatter would say so.
        let indices = self.indices.clone().unwrap_or_default();
        Ok([wanted(x, || Scatter { dims: self.dims.clone(), indices }.apply([dy]))?])
    }
}

impl Operator<1> for Scatter {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::scatter(&self.dims, self.indices.get()?, dy))
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || Gather { dims: self.dims.clone(), indices: self.indices.clone() }.apply([dx]))?])
    }
}

impl Operator<1> for Gather {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::gather(&self.dims, self.indices.get()?, x))
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Scatter { dims: self.dims.clone(), indices: self.indices.clone() }.apply([dy]))?])
    }
}
