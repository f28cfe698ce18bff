//! Unfolding as a linear map, folding being its transpose: which kernel is which.

use super::spec::UnfoldDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::storage::Element;

impl LinearMap for UnfoldDims {
    fn op(&self) -> &'static str {
        self.op
    }

    fn input(&self) -> &[usize] {
        &self.image
    }

    fn output(&self) -> &[usize] {
        &self.columns
    }

    fn map<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::unfold(self, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::fold(self, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::unfold(gpu, self, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::fold(gpu, self, dy)
    }
}
