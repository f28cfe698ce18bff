//! Linear maps of one tensor as candle operators: a map and its transpose are each the other's gradient, so one pair of
//! kernels gives derivatives of every order.

use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};
use std::sync::Arc;

/// A linear map that does not depend on data: checked geometry with its kernels.
pub(crate) trait LinearMap: Send + Sync + 'static {
    /// The operator, for error messages.
    fn op(&self) -> &'static str;

    /// The shape of what is mapped.
    fn input(&self) -> &[usize];

    /// The shape of the result.
    fn output(&self) -> &[usize];

    fn map<T: Element>(&self, x: &[T]) -> Vec<T>;

    fn transpose<T: Element>(&self, dy: &[T]) -> Vec<T>;

    /// The map on a CUDA device.
    fn cuda_map(&self, gpu: &Gpu, x: View<'_>) -> Result<Buffer>;

    /// The transpose on a CUDA device.
    fn cuda_transpose(&self, gpu: &Gpu, dy: View<'_>) -> Result<Buffer>;
}

/// y = A x, for the map A.
pub(crate) fn apply(map: impl LinearMap, x: &Tensor) -> Result<Tensor> {
    Ok(Map(Arc::new(map)).apply([x])?)
}

/// y = A x.
pub(crate) struct Map<M>(pub(crate) Arc<M>);

/// dx = Aᵀ dy.
pub(crate) struct Transpose<M>(pub(crate) Arc<M>);

impl<M: LinearMap> Operator<1> for Map<M> {
    fn name(&self) -> &'static str {
        self.0.op()
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.output())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(self.0.map(x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        self.0.cuda_map(gpu, x)
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Transpose(self.0.clone()).apply([dy]))?])
    }
}

impl<M: LinearMap> Operator<1> for Transpose<M> {
    fn name(&self) -> &'static str {
        self.0.op()
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.input())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(self.0.transpose(dy))
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        self.0.cuda_transpose(gpu, dy)
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, ddx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || Map(self.0.clone()).apply([ddx]))?])
    }
}
