//! Resampling as a linear map: which kernel is which.

use super::spec::InterpolateDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::storage::Element;

impl LinearMap for InterpolateDims {
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
        cpu::forward(self, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::transpose(self, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::forward(gpu, self, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::transpose(gpu, self, dy)
    }
}
