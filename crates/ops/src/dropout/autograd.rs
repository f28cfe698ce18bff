//! Dropout as a candle operator: for a given mask it is linear and symmetric, so it is its own gradient, of any order.

use super::cpu;
use super::spec::Mask;
use crate::Result;
use crate::storage::{self, Element, Kernel};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

pub(super) struct Dropout(pub(super) Mask);

impl Kernel<1> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        Ok(cpu::apply(&self.0, x))
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        storage::run(self, [(x, layout)])
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        dy.apply_op1(Dropout(self.0.clone())).map(Some)
    }
}
