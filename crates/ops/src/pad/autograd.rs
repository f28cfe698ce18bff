//! Padding as a candle operator: a linear map of positions, and a constant in which its derivatives have no part.

use super::spec::PadDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::wanted;
use crate::linear_map::{LinearMap, Transpose};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};
use std::sync::Arc;

/// y = x with its margins; those that come from no element of it are `value`.
pub(super) struct Pad {
    pub(super) dims: Arc<PadDims>,
    pub(super) value: f64,
}

/// The linear part: the constant is 0.
impl LinearMap for PadDims {
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
        cpu::forward(self, T::zero(), x)
    }

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::transpose(self, dy)
    }

    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer> {
        cuda::forward(gpu, self, 0., x)
    }

    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer> {
        cuda::transpose(gpu, self, dy)
    }
}

impl Operator<1> for Pad {
    fn name(&self) -> &'static str {
        self.dims.op()
    }

    fn shape(&self) -> Shape {
        Shape::from(self.dims.output())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::forward(&self.dims, T::from_f64(self.value), x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::forward(gpu, &self.dims, self.value, x)
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Transpose(self.dims.clone()).apply([dy]))?])
    }
}
