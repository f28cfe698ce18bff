//! Which kernel pools: the gradients are those of maximum pooling, whatever its windows.

use super::spec::FractionalDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::max_pool::{Maxima, Places};
use crate::planes::Planes;
use crate::storage::Element;
use std::sync::Arc;

impl<const D: usize> Maxima for FractionalDims<D> {
    fn planes(&self) -> &Arc<Planes> {
        &self.planes
    }

    fn maxima<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::maxima(self, x).0
    }

    fn maxima_with_places<T: Element>(self: &Arc<Self>, x: &[T]) -> (Vec<T>, Places) {
        let (y, indices) = cpu::maxima(self, x);
        (y, Places::Indices(indices))
    }

    fn cuda_maxima(&self, gpu: &Gpu, x: View<'_>, with_places: bool) -> Result<(Buffer, Option<Buffer>)> {
        let samples = cuda::samples(gpu, self)?;
        cuda::MAXIMA.forward(gpu, &self.planes, cuda::geometry(self, &samples), x, with_places)
    }

    fn cuda_scatter(&self, gpu: &Gpu, places: &Buffer, dy: View<'_>) -> Result<Buffer> {
        let samples = cuda::samples(gpu, self)?;
        cuda::MAXIMA.scatter(gpu, &self.planes, cuda::geometry(self, &samples), places, dy)
    }
}
