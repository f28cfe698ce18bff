//! Which kernels pool: the gradients are those of maximum pooling and of linear maps, whatever their windows.

use super::spec::AdaptiveDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::max_pool::{Maxima, Places};
use crate::planes::Planes;
use crate::storage::Element;
use std::sync::Arc;

impl Maxima for AdaptiveDims {
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
        cuda::MAXIMA.forward(gpu, &self.planes, vec![cuda::geometry(self)?], x, with_places)
    }

    fn cuda_scatter(&self, gpu: &Gpu, places: &Buffer, dy: View<'_>) -> Result<Buffer> {
        cuda::MAXIMA.scatter(gpu, &self.planes, vec![cuda::geometry(self)?], places, dy)
    }
}

impl LinearMap for AdaptiveDims {
    fn op(&self) -> &'static str {
        self.planes.op
    }

    fn input(&self) -> &[usize] {
        &self.planes.input
    }

    fn output(&self) -> &[usize] {
        &self.planes.output
    }

    fn map<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::means(self, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::spread(self, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::means(gpu, self, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::spread(gpu, self, dy)
    }
}
