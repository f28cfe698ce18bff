//! DropBlock as a linear map that is its own transpose.

use super::spec::Blocks;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::linear_map::LinearMap;
use crate::storage::Element;
use std::sync::OnceLock;

pub(super) struct DropBlock {
    pub(super) blocks: Blocks,
    /// What an element outside the blocks is multiplied by, once the CPU has counted them.
    scale: OnceLock<f64>,
}

impl DropBlock {
    pub(super) fn new(blocks: Blocks) -> Self {
        Self { blocks, scale: OnceLock::new() }
    }

    pub(super) fn scale(&self) -> f64 {
        *self.scale.get_or_init(|| cpu::scale(&self.blocks))
    }
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

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::apply(gpu, &self.blocks, x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::apply(gpu, &self.blocks, dy)
    }
}
