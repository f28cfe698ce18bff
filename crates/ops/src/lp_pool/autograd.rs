//! Powers as candle operators: the derivative of a power is a power, so there are derivatives of every order.

use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

/// x ↦ coefficient · x^exponent.
#[derive(Debug, Clone)]
pub(super) struct Power {
    pub(super) op: &'static str,
    pub(super) shape: Shape,
    pub(super) coefficient: f64,
    pub(super) exponent: f64,
    /// Whether this and all its derivatives are 0 at 0, where a root has no derivative.
    pub(super) flat_at_zero: bool,
}

impl Power {
    fn derivative(&self) -> Self {
        let (coefficient, exponent) = (self.coefficient * self.exponent, self.exponent - 1.);
        Self { coefficient, exponent, ..self.clone() }
    }
}

/// (x, g) ↦ g · power(x).
struct Times(Power);

impl Operator<1> for Power {
    fn name(&self) -> &'static str {
        self.op
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::power(self, x, None))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::power(gpu, self, x, None)
    }

    fn backward(&self, [x]: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Times(self.derivative()).apply([&saved(x)?, dy]))?])
    }
}

impl Operator<2> for Times {
    fn name(&self) -> &'static str {
        self.0.op
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x, g]: [&[T]; 2]) -> Result<Vec<T>> {
        Ok(cpu::power(&self.0, x, Some(g)))
    }

    fn cuda(&self, gpu: &Gpu, [x, g]: [View<'_>; 2]) -> Result<Buffer> {
        cuda::power(gpu, &self.0, x, Some(g))
    }

    fn backward(&self, [x, g]: [&Tensor; 2], _: &Tensor, dy: &Tensor) -> Grads<2> {
        let by_x = wanted(x, || Times(self.0.derivative()).apply([&saved(x)?, &(saved(g)? * dy)?]))?;
        let by_g = wanted(g, || Times(self.0.clone()).apply([&saved(x)?, dy]))?;
        Ok([by_x, by_g])
    }
}
