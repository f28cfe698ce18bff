//! An operator with ReLU, and perhaps max pooling, behind it as one node of candle's graph.
//!
//! The maxima alone stay for the backward pass, and tell where ReLU let something through.

use super::{cpu, cuda};
use crate::Result;
use crate::activation::{Relu, relu};
use crate::cuda::{Buffer, Gpu, View};
use crate::elementwise::{Map, map_in_place};
use crate::graph::{second_order, wanted};
use crate::max_pool::{MaxPool, MaxPoolSpec, max_pool};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use crate::window::PoolDims;
use candle_core::{DType, Shape, Tensor};
use std::sync::Arc;

/// What comes behind an operator.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then<'a, const D: usize> {
    Nothing,
    Relu { pool: Option<(&'static str, &'a MaxPoolSpec<D>)> },
}

/// max(inner, 0), and the maxima of its windows.
pub(crate) struct Rectified<O> {
    inner: O,
    pool: Option<MaxPool<PoolDims>>,
}

/// a + b.
pub(crate) struct Add {
    pub(crate) op: &'static str,
    pub(crate) shape: Shape,
}

impl<const D: usize> Then<'_, D> {
    /// `inner` of `inputs` and what comes behind it.
    ///
    /// One by one where half precision rounds in between, which may make two elements of a window equal, and where candle
    /// differentiates twice.
    pub(crate) fn apply<const N: usize, O: Operator<N> + Apply<N>>(
        self,
        inner: O,
        inputs: [&Tensor; N],
    ) -> Result<Tensor>
    where
        Rectified<O>: Apply<N>,
    {
        let Self::Relu { pool } = self else { return Ok(inner.apply(inputs)?) };
        let dims = pool.map(|(op, spec)| spec.dims(op, inner.shape().dims())).transpose()?.map(Arc::new);
        let tracked = inputs.iter().any(|input| input.track_op());
        if !matches!(inputs[0].dtype(), DType::F32 | DType::F64) || (tracked && second_order()?) {
            let y = relu(&inner.apply(inputs)?)?;
            return dims.map_or_else(|| Ok(y.clone()), |dims| max_pool(dims, &y));
        }
        let pool = dims.map(|dims| MaxPool::new(dims, tracked));
        Ok(Rectified { inner, pool }.apply(inputs)?)
    }
}

impl<const N: usize, O: Operator<N>> Operator<N> for Rectified<O> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn shape(&self) -> Shape {
        self.pool.as_ref().map_or_else(|| self.inner.shape(), Operator::shape)
    }

    fn run<T: Element>(&self, inputs: [&[T]; N]) -> Result<Vec<T>> {
        let mut y = self.inner.run(inputs)?;
        // ReLU of the maxima is the maximum of the ReLUs, and where it lets nothing through their places do not matter: fewer
        // elements to pass over.
        if let Some(pool) = &self.pool {
            y = pool.run([&y])?;
        }
        map_in_place(&Relu, &mut y);
        Ok(y)
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; N]) -> Result<Buffer> {
        let mut y = self.inner.cuda(gpu, inputs)?;
        if let Some(pool) = &self.pool {
            y = pool.cuda(gpu, [y.view()])?;
        }
        cuda::rectify(gpu, &mut y)?;
        Ok(y)
    }

    /// None of the operators within reads its own output.
    fn backward(&self, inputs: [&Tensor; N], output: &Tensor, grad: &Tensor) -> Grads<N> {
        let mut dy = Map::slopes(Relu, &output.detach(), grad)?;
        if let Some(pool) = &self.pool {
            dy = pool.input_grad(&dy)?;
        }
        self.inner.backward(inputs, output, &dy)
    }
}

impl Operator<2> for Add {
    fn name(&self) -> &'static str {
        self.op
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [a, b]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::add(a, b))
    }

    fn cuda(&self, gpu: &Gpu, [a, b]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::add(gpu, a, b)
    }

    fn backward(&self, [a, b]: [&Tensor; 2], _y: &Tensor, dy: &Tensor) -> Grads<2> {
        Ok([wanted(a, || Ok(dy.clone()))?, wanted(b, || Ok(dy.clone()))?])
    }
}
