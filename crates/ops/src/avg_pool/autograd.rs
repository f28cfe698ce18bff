//! Average pooling as a linear map: the transpose spreads each output's share over its window.

use super::spec::Divisor;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::storage::Element;
use crate::window::PoolDims;

impl LinearMap for (PoolDims, Divisor) {
    fn op(&self) -> &'static str {
        self.0.planes.op
    }

    fn input(&self) -> &[usize] {
        &self.0.planes.input
    }

    fn output(&self) -> &[usize] {
        &self.0.planes.output
    }

    fn map<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::forward(&self.0, self.1, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::input_grad(&self.0, self.1, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::forward(gpu, &self.0, self.1, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::input_grad(gpu, &self.0, self.1, dy)
    }
}
