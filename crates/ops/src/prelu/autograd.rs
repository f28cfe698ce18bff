//! The parametric rectifier as candle operators.
//!
//! Each is bilinear in its last two arguments, and constant in the first wherever it is differentiable at all, which takes
//! no part in the graph. The three close under differentiation.
//!
//! | operator | value | gradient of the second argument | gradient of the third |
//! |---|---|---|---|
//! | [`Prelu`]`(x, w, t)` | t where x > 0, else w·t | `LeftSum(x, t, v)` | `Prelu(x, w, v)` |
//! | [`LeftScale`]`(x, w, t)` | 0 where x > 0, else w·t | `LeftSum(x, t, v)` | `LeftScale(x, w, v)` |
//! | [`LeftSum`]`(x, a, b)` | Σ a·b of each channel where not x > 0 | `LeftScale(x, v, b)` | `LeftScale(x, v, a)` |

use super::spec::PreluDims;
use super::{cpu, cuda};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};

pub(super) struct Prelu(pub(super) PreluDims);

struct LeftScale(PreluDims);

struct LeftSum(PreluDims);

impl Operator<3> for Prelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, inputs: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::select(&self.0, inputs))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 3]) -> Result<Buffer> {
        cuda::select(gpu, &self.0, inputs)
    }

    fn backward(&self, [x, w, t]: [&Tensor; 3], _y: &Tensor, v: &Tensor) -> Grads<3> {
        let by_w = wanted(w, || LeftSum(self.0.clone()).apply([x, &saved(t)?, v]))?;
        let by_t = wanted(t, || Prelu(self.0.clone()).apply([x, &saved(w)?, v]))?;
        Ok([None, by_w, by_t])
    }
}

impl Operator<3> for LeftScale {
    fn name(&self) -> &'static str {
        "prelu_left_scale"
    }

    fn shape(&self) -> Shape {
        self.0.shape.clone()
    }

    fn run<T: Element>(&self, inputs: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::left_scale(&self.0, inputs))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 3]) -> Result<Buffer> {
        cuda::left_scale(gpu, &self.0, inputs)
    }

    fn backward(&self, [x, w, t]: [&Tensor; 3], _y: &Tensor, v: &Tensor) -> Grads<3> {
        let by_w = wanted(w, || LeftSum(self.0.clone()).apply([x, &saved(t)?, v]))?;
        let by_t = wanted(t, || LeftScale(self.0.clone()).apply([x, &saved(w)?, v]))?;
        Ok([None, by_w, by_t])
    }
}

impl Operator<3> for LeftSum {
    fn name(&self) -> &'static str {
        "prelu_left_sum"
    }

    fn shape(&self) -> Shape {
        Shape::from(self.0.channels)
    }

    fn run<T: Element>(&self, inputs: [&[T]; 3]) -> Result<Vec<T>> {
        Ok(cpu::left_sum(&self.0, inputs))
    }

    fn cuda(&self, gpu: &Gpu, inputs: [View<'_>; 3]) -> Result<Buffer> {
        cuda::left_sum(gpu, &self.0, inputs)
    }

    fn backward(&self, [x, a, b]: [&Tensor; 3], _sum: &Tensor, v: &Tensor) -> Grads<3> {
        let by_a = wanted(a, || LeftScale(self.0.clone()).apply([x, v, &saved(b)?]))?;
        let by_b = wanted(b, || LeftScale(self.0.clone()).apply([x, v, &saved(a)?]))?;
        Ok([None, by_a, by_b])
    }
}
