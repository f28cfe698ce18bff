//! The pooling, the scatter that is its gradient and the gather that is the scatter's, each other's gradients in turn.

use super::cpu;
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::planes::Planes;
use crate::storage::Element;
use crate::window::PoolDims;
use crate::{Error, Result};
use candle_core::{Device, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Where the maxima of all windows lie.
pub(crate) enum Places {
    /// The tap that holds each, by its number within the window.
    Taps(Arc<PoolDims>, Vec<u8>),
    /// The index of each within its plane.
    Indices(Vec<i64>),
}

impl Places {
    fn scatter<T: Element>(&self, planes: &Planes, dy: &[T]) -> Vec<T> {
        match self {
            Self::Taps(dims, taps) => cpu::scatter(dims, taps, dy),
            Self::Indices(indices) => cpu::scatter_at(planes, indices, dy),
        }
    }

    fn gather<T: Element>(&self, planes: &Planes, x: &[T]) -> Vec<T> {
        match self {
            Self::Taps(dims, taps) => cpu::gather(dims, taps, x),
            Self::Indices(indices) => cpu::gather_at(planes, indices, x),
        }
    }

    /// The indices within the planes, of `shape`.
    fn tensor(&self, shape: &Shape, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::Taps(dims, taps) => Tensor::from_vec(cpu::indices(dims, taps), shape, device),
            Self::Indices(indices) => Tensor::from_slice(indices, shape, device),
        }
    }
}

/// The places, filled by the forward pass, read by the backward passes.
#[derive(Clone, Default)]
struct Found(Arc<OnceLock<Places>>);

impl Found {
    fn get(&self) -> Result<&Places> {
        let unfilled = || candle_core::Error::Msg("max_pool: the indices are read before the forward pass".into());
        self.0.get().ok_or_else(|| Error::Candle(unfilled()))
    }
}

/// The windows of a maximum pooling, whatever their geometry.
pub(crate) trait Maxima: Send + Sync + 'static {
    fn planes(&self) -> &Arc<Planes>;

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T>;

    /// The maxima, and the place of each.
    fn maxima_with_places<T: Element>(&self, x: &[T]) -> (Vec<T>, Places);
}

impl Maxima for Arc<PoolDims> {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::forward(self, x)
    }

    fn maxima_with_places<T: Element>(&self, x: &[T]) -> (Vec<T>, Places) {
        if cpu::has_byte_taps(self) {
            let (y, taps) = cpu::forward_with_taps(self, x);
            (y, Places::Taps(self.clone(), taps))
        } else {
            let (y, indices) = cpu::forward_with_indices(self, x);
            (y, Places::Indices(indices))
        }
    }
}

/// The maxima of all windows of `x`.
pub(crate) fn max_pool(windows: impl Maxima, x: &Tensor) -> Result<Tensor> {
    Ok(MaxPool::new(windows, x.track_op()).apply([x])?)
}

/// The maxima of all windows of `x` and their indices within their planes, of the same shape.
pub(crate) fn max_pool_with_indices(windows: impl Maxima, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let places = Found::default();
    let y = MaxPool { windows, places: Some(places.clone()) }.apply([x])?;
    let indices = places.get()?.tensor(y.shape(), y.device())?;
    Ok((y, indices))
}

/// `y = max over each window of x`, with the places of the maxima where `places` asks for them.
pub(crate) struct MaxPool<W> {
    windows: W,
    places: Option<Found>,
}

impl<W: Maxima> MaxPool<W> {
    /// Only the backward pass of a `tracked` input will ask where the maxima lie.
    pub(crate) fn new(windows: W, tracked: bool) -> Self {
        Self { windows, places: tracked.then(Found::default) }
    }

    /// dx from dy, after the forward pass.
    pub(crate) fn input_grad(&self, dy: &Tensor) -> candle_core::Result<Tensor> {
        // Never absent where the input is tracked; the scatter would say so.
        let places = self.places.clone().unwrap_or_default();
        Scatter { planes: self.windows.planes().clone(), places }.apply([dy])
    }
}

/// `dx[places] += dy`.
struct Scatter {
    planes: Arc<Planes>,
    places: Found,
}

/// `y = x[places]`.
struct Gather {
    planes: Arc<Planes>,
    places: Found,
}

impl<W: Maxima> Operator<1> for MaxPool<W> {
    fn name(&self) -> &'static str {
        self.windows.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.windows.planes().output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(match &self.places {
            None => self.windows.maxima(x),
            Some(places) => {
                let (y, found) = self.windows.maxima_with_places(x);
                places.0.get_or_init(|| found);
                y
            }
        })
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || self.input_grad(dy))?])
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
        Ok(self.places.get()?.scatter(&self.planes, dy))
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || Gather { planes: self.planes.clone(), places: self.places.clone() }.apply([dx]))?])
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
        Ok(self.places.get()?.gather(&self.planes, x))
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Scatter { planes: self.planes.clone(), places: self.places.clone() }.apply([dy]))?])
    }
}
