//! Unfolding as a linear map, folding being its transpose: which kernel is which.

use super::cpu;
use super::spec::UnfoldDims;
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
}
