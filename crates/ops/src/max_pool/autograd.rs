//! The pooling, the scatter that is its gradient and the gather that is the scatter's, each other's gradients in turn.

use super::{cpu, cuda};
use crate::cuda::{Arg, Buffer, Gpu, View};
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::planes::Planes;
use crate::storage::Element;
use crate::window::PoolDims;
use crate::{Error, Result};
use candle_core::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Where the maxima of all windows lie.
pub(crate) enum Places {
    /// The tap that holds each, by its number within the window.
    Taps(Arc<PoolDims>, Vec<u8>),
    /// The index of each within its plane.
    Indices(Vec<i64>),
    /// The same, in a device's memory.
    OnDevice(Buffer),
}

impl Places {
    fn scatter<T: Element>(&self, planes: &Planes, dy: &[T]) -> Result<Vec<T>> {
        match self {
            Self::Taps(dims, taps) => Ok(cpu::scatter(dims, taps, dy)),
            Self::Indices(indices) => Ok(cpu::scatter_at(planes, indices, dy)),
            Self::OnDevice(_) => Err(Error::OtherDevice { op: planes.op }),
        }
    }

    fn gather<T: Element>(&self, planes: &Planes, x: &[T]) -> Result<Vec<T>> {
        match self {
            Self::Taps(dims, taps) => Ok(cpu::gather(dims, taps, x)),
            Self::Indices(indices) => Ok(cpu::gather_at(planes, indices, x)),
            Self::OnDevice(_) => Err(Error::OtherDevice { op: planes.op }),
        }
    }

    fn on_device(&self, planes: &Planes) -> Result<&Buffer> {
        match self {
            Self::OnDevice(places) => Ok(places),
            Self::Taps(..) | Self::Indices(_) => Err(Error::OtherDevice { op: planes.op }),
        }
    }

    /// The indices within the planes, a tensor beside `y`.
    fn tensor(&self, y: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Taps(dims, taps) => Tensor::from_vec(cpu::indices(dims, taps), y.shape(), y.device()),
            Self::Indices(indices) => Tensor::from_slice(indices, y.shape(), y.device()),
            Self::OnDevice(places) => crate::cuda::tensor(y, y.shape(), |gpu| cuda::indices(gpu, places)),
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
    fn maxima_with_places<T: Element>(self: &Arc<Self>, x: &[T]) -> (Vec<T>, Places);

    /// The maxima on a CUDA device and, where they are asked for, their places.
    fn cuda_maxima(&self, gpu: &Gpu, x: View<'_>, with_places: bool) -> Result<(Buffer, Option<Buffer>)>;

    /// Adds `dy` to the elements at the places, on a CUDA device.
    fn cuda_scatter(&self, gpu: &Gpu, places: &Buffer, dy: View<'_>) -> Result<Buffer>;
}

impl Maxima for PoolDims {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::forward(self, x)
    }

    fn maxima_with_places<T: Element>(self: &Arc<Self>, x: &[T]) -> (Vec<T>, Places) {
        if cpu::has_byte_taps(self) {
            let (y, taps) = cpu::forward_with_taps(self, x);
            (y, Places::Taps(self.clone(), taps))
        } else {
            let (y, indices) = cpu::forward_with_indices(self, x);
            (y, Places::Indices(indices))
        }
    }

    fn cuda_maxima(&self, gpu: &Gpu, x: View<'_>, with_places: bool) -> Result<(Buffer, Option<Buffer>)> {
        cuda::WINDOWS.forward(gpu, &self.planes, vec![Arg::Sizes(self.cuda())], x, with_places)
    }

    fn cuda_scatter(&self, gpu: &Gpu, places: &Buffer, dy: View<'_>) -> Result<Buffer> {
        cuda::WINDOWS.scatter(gpu, &self.planes, vec![Arg::Sizes(self.cuda())], places, dy)
    }
}

/// The maxima of all windows of `x`.
pub(crate) fn max_pool(windows: Arc<impl Maxima>, x: &Tensor) -> Result<Tensor> {
    Ok(MaxPool::new(windows, x.track_op()).apply([x])?)
}

/// The maxima of all windows of `x` and their indices within their planes, of the same shape.
pub(crate) fn max_pool_with_indices(windows: Arc<impl Maxima>, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let places = Found::default();
    let y = MaxPool { windows, places: Some(places.clone()) }.apply([x])?;
    let indices = places.get()?.tensor(&y)?;
    Ok((y, indices))
}

/// `y = max over each window of x`, with the places of the maxima where `places` asks for them.
pub(crate) struct MaxPool<W> {
    windows: Arc<W>,
    places: Option<Found>,
}

impl<W: Maxima> MaxPool<W> {
    /// Only the backward pass of a `tracked` input will ask where the maxima lie.
    pub(crate) fn new(windows: Arc<W>, tracked: bool) -> Self {
        Self { windows, places: tracked.then(Found::default) }
    }

    /// dx from dy, after the forward pass.
    pub(crate) fn input_grad(&self, dy: &Tensor) -> candle_core::Result<Tensor> {
        // Never absent where the input is tracked; the scatter would say so.
        let places = self.places.clone().unwrap_or_default();
        Scatter { windows: self.windows.clone(), places }.apply([dy])
    }
}

/// `dx[places] += dy`.
struct Scatter<W> {
    windows: Arc<W>,
    places: Found,
}

/// `y = x[places]`.
struct Gather<W> {
    windows: Arc<W>,
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

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        let (y, found) = self.windows.cuda_maxima(gpu, x, self.places.is_some())?;
        if let (Some(places), Some(found)) = (&self.places, found) {
            places.0.get_or_init(|| Places::OnDevice(found));
        }
        Ok(y)
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || self.input_grad(dy))?])
    }
}

impl<W: Maxima> Operator<1> for Scatter<W> {
    fn name(&self) -> &'static str {
        self.windows.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.windows.planes().input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        self.places.get()?.scatter(self.windows.planes(), dy)
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        self.windows.cuda_scatter(gpu, self.places.get()?.on_device(self.windows.planes())?, dy)
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || Gather { windows: self.windows.clone(), places: self.places.clone() }.apply([dx]))?])
    }
}

impl<W: Maxima> Operator<1> for Gather<W> {
    fn name(&self) -> &'static str {
        self.windows.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.windows.planes().output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        self.places.get()?.gather(self.windows.planes(), x)
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        let planes = self.windows.planes();
        cuda::gather(gpu, planes, self.places.get()?.on_device(planes)?, x)
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Scatter { windows: self.windows.clone(), places: self.places.clone() }.apply([dy]))?])
    }
}
