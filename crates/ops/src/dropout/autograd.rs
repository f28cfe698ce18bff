//! Dropout as a candle operator: for a given mask it is linear and symmetric but for its constants, so its derivatives of
//! every order are dropout without them.

use super::spec::Mask;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::wanted;
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

pub(super) struct Dropout(pub(super) Mask);

impl Operator<1> for Dropout {
    fn name(&self) -> &'static str {
        self.0.op
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::apply(&self.0, x))
    }

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        cuda::apply(gpu, &self.0, x)
    }

    fn backward(&self, [x]: [&Tensor; 1], _y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || Dropout(self.0.linear()).apply([dy]))?])
    }
}
