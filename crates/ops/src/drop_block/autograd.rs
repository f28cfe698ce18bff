//! DropBlock as a linear map that is its own transpose.

use super::cpu;
use super::spec::Blocks;
use crate::linear_map::LinearMap;
use crate::storage::Element;

pub(super) struct DropBlock {
    pub(super) blocks: Blocks,
    /// What an element outside the blocks is multiplied by.
    pub(super) scale: f64,
}

impl LinearMap for DropBlock {
    fn op(&self) -> &'static str {
        self.blocks.planes.op
    }

    fn input(&self) -> &[usize] {
        &self.blocks.planes.input
    }

    fn output(&self) -> &[usize] {
        &self.blocks.planes.output
    }

    fn map<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::apply(self, x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::apply(self, dy)
    }
}
