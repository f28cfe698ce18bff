//! The pooling, the scatter that is its gradient and the gather that is the scatter's, each other's gradients in turn.

use super::cpu;
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::planes::Planes;
use crate::storage::Element;
use crate::window::PoolDims;
use crate::{Error, Result};
use candle_core::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Where the maxima lie, one an output: filled by the forward pass, read by the backward passes.
#[derive(Clone, Default)]
struct Indices(Arc<OnceLock<Vec<i64>>>);

impl Indices {
    fn get(&self) -> Result<&[i64]> {
        let unfilled = || candle_core::Error::Msg("max_pool: the indices are read before the forward pass".into());
        self.0.get().map(Vec::as_slice).ok_or_else(|| Error::Candle(unfilled()))
    }
}

/// The windows of a maximum pooling, whatever their geometry.
pub(crate) trait Maxima: Send + Sync + 'static {
    fn planes(&self) -> &Arc<Planes>;

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T>;

    /// The maxima, and the place of each within its plane.
    fn maxima_with_places<T: Element>(&self, x: &[T]) -> (Vec<T>, Vec<i64>);
}

impl Maxima for PoolDims {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::forward(self, x)
    }

    fn maxima_with_places<T: Element>(&self, x: &[T]) -> (Vec<T>, Vec<i64>) {
        cpu::forward_with_places(self, x)
    }
}

/// The maxima of all windows of `x`.
pub(crate) fn max_pool(windows: impl Maxima, x: &Tensor) -> Result<Tensor> {
    // Only a backward pass will ask where the maxima lie.
    let indices = x.track_op().then(Indices::default);
    Ok(MaxPool { windows, indices }.apply([x])?)
}

/// The maxima of all windows of `x` and their places, of the same shape.
pub(crate) fn max_pool_with_indices(windows: impl Maxima, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let indices = Indices::default();
    let y = MaxPool { windows, indices: Some(indices.clone()) }.apply([x])?;
    let indices = Tensor::from_slice(indices.get()?, y.shape(), y.device())?;
    Ok((y, indices))
}

/// `y = max over each window of x`, with the places of the maxima where `indices` asks for them.
struct MaxPool<W> {
    windows: W,
    indices: Option<Indices>,
}

/// `dx[indices] += dy`.
struct Scatter {
    planes: Arc<Planes>,
    indices: Indices,
}

/// `y = x[indices]`.
struct Gather {
    planes: Arc<Planes>,
    indices: Indices,
}

impl<W: Maxima> Operator<1> for MaxPool<W> {
    fn name(&self) -> &'static str {
        self.windows.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.windows.planes().output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(match &self.indices {
            None => self.windows.maxima(x),
            Some(indices) => {
                let (y, found) = self.windows.maxima_with_places(x);
                indices.0.get_or_init(|| found);
                y
            }
        })
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        // Never absent where x is tracked; the scatter would say so.
        let indices = self.indices.clone().unwrap_or_default();
        Ok([wanted(x, || Scatter { planes: self.windows.planes().clone(), indices }.apply([dy]))?])
    }
}

impl Operator<1> for Scatter {
    fn name(&self) -> &'static str {
        self.planes.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.planes.input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::scatter(&self.planes, self.indices.get()?, dy))
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || Gather { planes: self.planes.clone(), indices: self.indices.clone() }.apply([dx]))?])
    }
}

impl Operator<1> for Gather {
    fn name(&self) -> &'static str {
        self.planes.op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.planes.output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::gather(&self.planes, self.indices.get()?, x))
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Scatter { planes: self.planes.clone(), indices: self.indices.clone() }.apply([dy]))?])
    }
}
