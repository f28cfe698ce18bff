//! The normalisation and its gradients as candle operators.
//!
//! Each first-order gradient is one fused kernel. [`WeightGrad`] closes under differentiation with the two others; the
//! derivatives of [`InputGrad`] are composed of tracked operators (`second_order.rs`).

use super::cpu::{self, Set};
use super::spec::{NormDims, Sets, Statistics};
use super::{cuda, second_order};
use crate::Result;
use crate::cuda::{Buffer, Gpu, View};
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
    /// The same in a device's memory.
    on_device: OnceLock<Buffer>,
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

    /// The statistics of all sets in a device's memory.
    fn sets_on_device(&self, gpu: &Gpu, x: View<'_>) -> Result<&Buffer> {
        if let Some(sets) = self.on_device.get() {
            return Ok(sets);
        }
        let found = match self.sets.get() {
            Some(sets) => cuda::given(gpu, sets)?,
            None => cuda::statistics(gpu, &self.dims, x)?,
        };
        Ok(self.on_device.get_or_init(|| found))
    }

    /// After a forward pass on a device.
    pub(super) fn known_on_device(&self) -> Option<&Buffer> {
        self.on_device.get()
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
#[derive(Debug, Clone, Default)]
struct Sums {
    on_host: Arc<OnceLock<Vec<[f64; 2]>>>,
    on_device: Arc<OnceLock<Buffer>>,
}

impl Norm {
    /// `fixed`: the statistics, where the dims say that they are constants.
    pub(super) fn new(dims: NormDims, fixed: Option<Vec<Set>>) -> Self {
        let sets = fixed.map_or_else(OnceLock::new, OnceLock::from);
        Self(Arc::new(Shared { dims, sets, on_device: OnceLock::new() }))
    }

    fn run_with<T: Element>(&self, x: &[T], weight: Option<&[T]>, bias: Option<&[T]>) -> Result<Vec<T>> {
        let Shared { dims, sets, .. } = &*self.0;
        let (y, found) = cpu::forward(dims, x, weight, bias, sets.get().map(Vec::as_slice));
        sets.get_or_init(|| found);
        Ok(y)
    }

    fn cuda_with(&self, gpu: &Gpu, x: View<'_>, weight: Option<View<'_>>, bias: Option<View<'_>>) -> Result<Buffer> {
        cuda::forward(gpu, &self.0.dims, self.0.sets_on_device(gpu, x)?, x, weight, bias)
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
            self.sums.on_host.get_or_init(|| cpu::scaled(sets, &sums));
        }
        Ok(dx)
    }

    fn cuda_with(&self, gpu: &Gpu, x: View<'_>, weight: Option<View<'_>>, dy: View<'_>) -> Result<Buffer> {
        let sets = self.shared.sets_on_device(gpu, x)?;
        let (dx, sums) = cuda::input_grad(gpu, &self.shared.dims, sets, x, weight, dy)?;
        if let Some(sums) = sums {
            self.sums.on_device.get_or_init(|| sums);
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

    fn cuda(&self, gpu: &Gpu, [x]: [View<'_>; 1]) -> Result<Buffer> {
        self.cuda_with(gpu, x, None, None)
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

    fn cuda(&self, gpu: &Gpu, [x, weight]: [View<'_>; 2]) -> Result<Buffer> {
        self.cuda_with(gpu, x, Some(weight), None)
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

    fn cuda(&self, gpu: &Gpu, [x, weight, bias]: [View<'_>; 3]) -> Result<Buffer> {
        self.cuda_with(gpu, x, Some(weight), Some(bias))
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

    fn cuda(&self, gpu: &Gpu, [x, dy]: [View<'_>; 2]) -> Result<Buffer> {
        self.cuda_with(gpu, x, None, dy)
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

    fn cuda(&self, gpu: &Gpu, [x, weight, dy]: [View<'_>; 3]) -> Result<Buffer> {
        self.cuda_with(gpu, x, Some(weight), dy)
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
        Ok(self.sums.on_host.get_or_init(grads).iter().map(|&[_, dweight]| T::from_f64(dweight)).collect())
    }

    fn cuda(&self, gpu: &Gpu, [x, dy]: [View<'_>; 2]) -> Result<Buffer> {
        let dims = &self.shared.dims;
        let sums = match self.sums.on_device.get() {
            Some(sums) => sums,
            None => {
                let sums = cuda::affine_sums(gpu, dims, Some((x, self.shared.sets_on_device(gpu, x)?)), dy)?;
                self.sums.on_device.get_or_init(|| sums)
            }
        };
        cuda::affine_grad(gpu, dims, sums, 1)
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
        Ok(self.sums.on_host.get_or_init(grads).iter().map(|&[dbias, _]| T::from_f64(dbias)).collect())
    }

    fn cuda(&self, gpu: &Gpu, [dy]: [View<'_>; 1]) -> Result<Buffer> {
        let dims = &self.shared.dims;
        match self.sums.on_device.get() {
            Some(sums) => cuda::affine_grad(gpu, dims, sums, 0),
            None => cuda::affine_grad(gpu, dims, &cuda::affine_sums(gpu, dims, None, dy)?, 0),
        }
    }

    fn backward(&self, [_dy]: [&Tensor; 1], _dbias: &Tensor, ddbias: &Tensor) -> Grads<1> {
        let dims = &self.shared.dims;
        let ddy = ddbias.reshape((1, dims.channels, 1))?.broadcast_as(dims.by_channel())?;
        Ok([Some(ddy.reshape(dims.shape())?)])
    }
}
