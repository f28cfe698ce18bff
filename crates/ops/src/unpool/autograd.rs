//! Unpooling as a linear map: it puts elements into places, and its transpose reads them there.

use super::spec::Unpooling;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::storage::Element;

impl LinearMap for Unpooling {
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
        cpu::put(self, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::take(self, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::put(gpu, self, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::take(gpu, self, dy)
    }
}
