//! The pooling, the scatter that is its gradient and the gather that is the scatter's, each other's gradients in turn.

use super::cpu;
use crate::storage::{self, Element, Kernel};
use crate::window::PoolDims;
use crate::{Error, Result};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
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

impl Kernel<1> for MaxPool {
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
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, layout)])
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        // Never absent where x is tracked; the scatter would say so.
        let indices = self.indices.clone().unwrap_or_default();
        dy.apply_op1(Scatter { dims: self.dims.clone(), indices }).map(Some)
    }
}

impl Kernel<1> for Scatter {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::scatter(&self.dims, self.indices.get()?, dy))
    }
}

impl CustomOp1 for Scatter {
    fn name(&self) -> &'static str {
        "max_pool_scatter"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(dy, layout)])
    }

    fn bwd(&self, dy: &Tensor, _: &Tensor, dx: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !dy.track_op() {
            return Ok(None);
        }
        dx.apply_op1(Gather { dims: self.dims.clone(), indices: self.indices.clone() }).map(Some)
    }
}

impl Kernel<1> for Gather {
    fn name(&self) -> &'static str {
        self.dims.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::gather(&self.dims, self.indices.get()?, x))
    }
}

impl CustomOp1 for Gather {
    fn name(&self) -> &'static str {
        "max_pool_gather"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, layout)])
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        dy.apply_op1(Scatter { dims: self.dims.clone(), indices: self.indices.clone() }).map(Some)
    }
}
