//! Dropout as a candle operator: for a given mask it is linear and symmetric, so it is its own gradient, of any order.

use super::cpu;
use super::spec::Mask;
use crate::Result;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

pub(super) struct Dropout(pub(super) Mask);

impl Operator<1> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::apply(&self.0, x))
    }

    fn backward(&self, [_x]: [&Tensor; 1], _y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([Some(Dropout(self.0.clone()).apply([dy])?)])
    }
}
