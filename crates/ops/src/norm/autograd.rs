//! The normalisation and its gradients as candle operators.
//!
//! Each first-order gradient is one fused kernel. [`WeightGrad`] closes under differentiation with the two others; the
//! derivatives of [`InputGrad`] are composed of tracked operators (`second_order.rs`).

use super::cpu::{self, Set};
use super::second_order;
use super::spec::{NormDims, Sets, Statistics};
use crate::Result;
use crate::graph::{saved, wanted};
use crate::operator::{Apply, Grads, Operator};
use crate::storage::Element;
use candle_core::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// What forward and backward share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dims: NormDims,
    /// Given, or filled by the forward pass.
    sets: OnceLock<Vec<Set>>,
}

impl Shared {
    /// The statistics of all sets, in order.
    pub(super) fn sets<T: Element>(&self, x: &[T]) -> &[Set] {
        self.sets.get_or_init(|| cpu::forward(&self.dims, x, None, None, None).1)
    }

    /// After the forward pass.
    pub(super) fn known_sets(&self) -> &[Set] {
        self.sets.get().map_or(&[], Vec::as_slice)
    }
}

/// `(x − mean) / √(var + eps) · weight + bias`.
#[derive(Debug, Clone)]
pub(super) struct Norm(pub(super) Arc<Shared>);

/// dx from x, the weight where there is one, and dy.
pub(super) struct InputGrad {
    shared: Arc<Shared>,
    sums: Sums,
}

/// dweight from x and dy.
struct WeightGrad {
    shared: Arc<Shared>,
    sums: Sums,
}

/// dbias from dy.
struct BiasGrad {
    shared: Arc<Shared>,
    sums: Sums,
}

/// dbias and dweight of every channel: whichever gradient is computed first finds them for the others.
type Sums = Arc<OnceLock<Vec<[f64; 2]>>>;

impl Norm {
    /// `fixed`: the statistics, where the dims say that they are constants.
    pub(super) fn new(dims: NormDims, fixed: Option<Vec<Set>>) -> Self {
        Self(Arc::new(Shared { dims, sets: fixed.map_or_else(OnceLock::new, OnceLock::from) }))
    }

    fn run_with<T: Element>(&self, x: &[T], weight: Option<&[T]>, bias: Option<&[T]>) -> Result<Vec<T>> {
        let Shared { dims, sets } = &*self.0;
        let (y, found) = cpu::forward(dims, x, weight, bias, sets.get().map(Vec::as_slice));
        sets.get_or_init(|| found);
        Ok(y)
    }
}

impl InputGrad {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), sums: Sums::default() }
    }

    fn run_with<T: Element>(&self, x: &[T], weight: Option<&[T]>, dy: &[T]) -> Result<Vec<T>> {
        let (dims, sets) = (&self.shared.dims, self.shared.sets(x));
        let (dx, sums) = cpu::input_grad(dims, sets, x, weight, dy);
        if dims.sets == Sets::Channels && dims.statistics != Statistics::Fixed && !dx.is_empty() {
            self.sums.get_or_init(|| cpu::scaled(sets, &sums));
        }
        Ok(dx)
    }
}

impl Operator<1> for Norm {
    fn name(&self) -> &'static str {
        self.0.dims.op
    }

    fn shape(&self) -> Shape {
        self.0.dims.shape()
    }

    fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
        self.run_with(x, None, None)
    }

    fn backward(&self, [x]: [&Tensor; 1], _y: &Tensor, dy: &Tensor) -> Grads<1> {
        Ok([wanted(x, || InputGrad::new(&self.0).apply([&saved(x)?, dy]))?])
    }
}

impl Operator<2> for Norm {
    fn name(&self) -> &'static str {
        self.0.dims.op
    }

    fn shape(&self) -> Shape {
        self.0.dims.shape()
    }

    fn run<T: Element>(&self, [x, weight]: [&[T]; 2]) -> Result<Vec<T>> {
        self.run_with(x, Some(weight), None)
    }

    fn backward(&self, [x, weight]: [&Tensor; 2], _y: &Tensor, dy: &Tensor) -> Grads<2> {
        let (shared, sums) = (&self.0, Sums::default());
        let input = InputGrad { shared: shared.clone(), sums: sums.clone() };
        let dx = wanted(x, || input.apply([&saved(x)?, &saved(weight)?, dy]))?;
        let dweight = wanted(weight, || WeightGrad { shared: shared.clone(), sums }.apply([&saved(x)?, dy]))?;
        Ok([dx, dweight])
    }
}

impl Operator<3> for Norm {
    fn name(&self) -> &'static str {
        self.0.dims.op
    }

    fn shape(&self) -> Shape {
        self.0.dims.shape()
    }

    fn run<T: Element>(&self, [x, weight, bias]: [&[T]; 3]) -> Result<Vec<T>> {
        self.run_with(x, Some(weight), Some(bias))
    }

    fn backward(&self, [x, weight, bias]: [&Tensor; 3], _y: &Tensor, dy: &Tensor) -> Grads<3> {
        let (shared, sums) = (&self.0, Sums::default());
        let input = InputGrad { shared: shared.clone(), sums: sums.clone() };
        let dx = wanted(x, || input.apply([&saved(x)?, &saved(weight)?, dy]))?;
        let of_weight = WeightGrad { shared: shared.clone(), sums: sums.clone() };
        let dweight = wanted(weight, || of_weight.apply([&saved(x)?, dy]))?;
        let dbias = wanted(bias, || BiasGrad { shared: shared.clone(), sums }.apply([dy]))?;
        Ok([dx, dweight, dbias])
    }
}

impl Operator<2> for InputGrad {
    fn name(&self) -> &'static str {
        self.shared.dims.op
    }

    fn shape(&self) -> Shape {
        self.shared.dims.shape()
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        self.run_with(x, None, dy)
    }

    fn backward(&self, [x, dy]: [&Tensor; 2], _dx: &Tensor, ddx: &Tensor) -> Grads<2> {
        let [by_x, _, by_dy] = second_order::of_input_grad(&self.shared, &saved(x)?, None, &saved(dy)?, ddx)?;
        Ok([Some(by_x), Some(by_dy)])
    }
}

impl Operator<3> for InputGrad {
    fn name(&self) -> &'static str {
        self.shared.dims.op
    }

    fn shape(&self) -> Shape {
        self.shared.dims.shape()
    }

    fn run<T: Element>(&self, [x, weight, dy]: [&[T]; 3]) -> Result<Vec<T>> {
        self.run_with(x, Some(weight), dy)
    }

    fn backward(&self, [x, weight, dy]: [&Tensor; 3], _dx: &Tensor, ddx: &Tensor) -> Grads<3> {
        let (x, weight, dy) = (saved(x)?, saved(weight)?, saved(dy)?);
        Ok(second_order::of_input_grad(&self.shared, &x, Some(&weight), &dy, ddx)?.map(Some))
    }
}

impl Operator<2> for WeightGrad {
    fn name(&self) -> &'static str {
        self.shared.dims.op
    }

    fn shape(&self) -> Shape {
        self.shared.dims.affine_shape()
    }

    fn run<T: Element>(&self, [x, dy]: [&[T]; 2]) -> Result<Vec<T>> {
        let grads = || cpu::affine_grads(&self.shared.dims, self.shared.sets(x), x, dy);
        Ok(self.sums.get_or_init(grads).iter().map(|&[_, dweight]| T::from_f64(dweight)).collect())
    }

    fn backward(&self, [x, dy]: [&Tensor; 2], _dweight: &Tensor, ddweight: &Tensor) -> Grads<2> {
        let dx = wanted(x, || InputGrad::new(&self.shared).apply([&saved(x)?, ddweight, &saved(dy)?]))?;
        let ddy = wanted(dy, || Norm(self.shared.clone()).apply([&saved(x)?, ddweight]))?;
        Ok([dx, ddy])
    }
}

impl Operator<1> for BiasGrad {
    fn name(&self) -> &'static str {
        self.shared.dims.op
    }

    fn shape(&self) -> Shape {
        self.shared.dims.affine_shape()
    }

    fn run<T: Element>(&self, [dy]: [&[T]; 1]) -> Result<Vec<T>> {
        // The second sum is not asked for: dy stands in for x.
        let grads = || cpu::affine_grads(&self.shared.dims, self.shared.known_sets(), dy, dy);
        Ok(self.sums.get_or_init(grads).iter().map(|&[dbias, _]| T::from_f64(dbias)).collect())
    }

    fn backward(&self, [_dy]: [&Tensor; 1], _dbias: &Tensor, ddbias: &Tensor) -> Grads<1> {
        let dims = &self.shared.dims;
        let ddy = ddbias.reshape((1, dims.channels, 1))?.broadcast_as(dims.by_channel())?;
        Ok([Some(ddy.reshape(dims.shape())?)])
    }
}
