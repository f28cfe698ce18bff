//! The pooling and its gradient, each the other's gradient: both are linear, and one is the other's transpose.

use super::cpu;
use super::spec::Divisor;
use crate::Result;
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::planes::Planes;
use crate::storage::Element;
use crate::window::PoolDims;
use candle_core::{Shape, Tensor};
use std::sync::Arc;

/// The windows of an average pooling, whatever their geometry.
pub(crate) trait Means: Send + Sync + 'static {
    fn planes(&self) -> &Planes;

    fn means<T: Element>(&self, x: &[T]) -> Vec<T>;

    /// The transpose of the means: each of `dy` over its divisor, spread over its window.
    fn spread<T: Element>(&self, dy: &[T]) -> Vec<T>;
}

impl Means for (PoolDims, Divisor) {
    fn planes(&self) -> &Planes {
        &self.0.planes
    }

    fn means<T: Element>(&self, x: &[T]) -> Vec<T> {
        cpu::forward(&self.0, self.1, x)
    }

    fn spread<T: Element>(&self, dy: &[T]) -> Vec<T> {
        cpu::input_grad(&self.0, self.1, dy)
    }
}

/// The means of all windows of `x`.
pub(crate) fn avg_pool(windows: impl Means, x: &Tensor) -> Result<Tensor> {
    Ok(AvgPool(Arc::new(windows)).apply([x])?)
}

/// `y = the mean of each window of x`.
struct AvgPool<W>(Arc<W>);

/// `dx = dy / divisor`, spread over each window.
struct AvgPoolGrad<W>(Arc<W>);

impl<W: Means> Operator<1> for AvgPool<W> {
    fn name(&self) -> &'static str {
        self.0.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.planes().output.as_slice())
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(self.0.means(x))
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || AvgPoolGrad(self.0.clone()).apply([dy]))?])
    }
}

impl<W: Means> Operator<1> for AvgPoolGrad<W> {
    fn name(&self) -> &'static str {
        self.0.planes().op
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.planes().input.as_slice())
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(self.0.spread(dy))
    }

    fn backward(&self, [dy]: [&Tensor; 1], _: &Tensor, dx: &Tensor) -> Grads<1> {
        Ok([wanted(dy, || AvgPool(self.0.clone()).apply([dx]))?])
    }
}
