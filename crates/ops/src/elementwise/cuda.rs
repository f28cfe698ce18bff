//! The launches of the passes over memory.

use super::By;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::{Result, sums};
use candle_core::DType;

/// A function of one number or two that has a CUDA kernel.
pub(crate) trait OnDevice {
    fn call(&self) -> Call<'_>;
}

/// A kernel, and the arguments that it takes last: those of the function itself.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    kernel: &'static Kernel,
    function: &'static str,
    args: Vec<Arg<'a>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(kernel: &'static Kernel, function: &'static str, args: Vec<Arg<'a>>) -> Self {
        Self { kernel, function, args }
    }

    /// A function of so many numbers beside its arguments.
    pub(crate) fn of_numbers<const N: usize>(
        kernel: &'static Kernel,
        function: &'static str,
        numbers: [f64; N],
    ) -> Self {
        Self::new(kernel, function, numbers.map(Arg::Real).into())
    }

    fn launch(self, gpu: &Gpu, work: Work, args: Vec<Arg<'_>>) -> Result<()> {
        gpu.launch(self.kernel, self.function, work, args.into_iter().chain(self.args).collect())
    }
}

/// f(x).
pub(super) fn map(gpu: &Gpu, f: &impl OnDevice, x: View<'_>) -> Result<Buffer> {
    derivative(gpu, f, 0, x, Arg::Null)
}

/// u · f⁽ᵏ⁾(x), k = `order`.
pub(super) fn scaled(gpu: &Gpu, f: &impl OnDevice, order: usize, x: View<'_>, u: View<'_>) -> Result<Buffer> {
    derivative(gpu, f, order, x, Arg::In(u))
}

/// f(a, b).
pub(super) fn zip(gpu: &Gpu, f: &impl OnDevice, [a, b]: [View<'_>; 2]) -> Result<Buffer> {
    let n = a.len();
    let mut y = gpu.alloc(n)?;
    let pointers = [Arg::In(a), Arg::In(b), Arg::Null, Arg::Out(&mut y), Arg::Null];
    let numbers = [Arg::Size(n), Arg::Size(0), Arg::Size(0), Arg::Real(1.)];
    f.call().launch(gpu, Work::Each(n), pointers.into_iter().chain(numbers).collect())?;
    Ok(y)
}

/// Σ f(a, b) / divisor.
pub(super) fn sum(gpu: &Gpu, f: &impl OnDevice, [a, b]: [View<'_>; 2], divisor: f64) -> Result<Buffer> {
    let n = a.len();
    let mut runs = gpu.alloc_of(DType::F64, n.div_ceil(sums::RUN))?;
    let pointers = [Arg::In(a), Arg::In(b), Arg::Null, Arg::Null, Arg::Out(&mut runs)];
    let numbers = [Arg::Size(n), Arg::Size(0), Arg::Size(0), Arg::Real(1.)];
    let args = pointers.into_iter().chain(numbers).collect();
    f.call().launch(gpu, Work::Blocks(n.div_ceil(sums::RUN)), args)?;
    sums::sum(gpu, runs.view(), divisor)
}

/// u / divisor · ∂f(a, b), where `u` has an element for each of `a`, or one for all.
pub(super) fn partials(gpu: &Gpu, f: &impl OnDevice, by: By, [a, b, u]: [View<'_>; 3], divisor: f64) -> Result<Buffer> {
    let n = a.len();
    let mut y = gpu.alloc(n)?;
    let step = usize::from(u.len() == n);
    let pointers = [Arg::In(a), Arg::In(b), Arg::In(u), Arg::Out(&mut y), Arg::Null];
    let numbers = [Arg::Size(n), Arg::Size(by as usize), Arg::Size(step), Arg::Real(divisor)];
    f.call().launch(gpu, Work::Each(n), pointers.into_iter().chain(numbers).collect())?;
    Ok(y)
}

fn derivative(gpu: &Gpu, f: &impl OnDevice, order: usize, x: View<'_>, u: Arg<'_>) -> Result<Buffer> {
    let n = x.len();
    let mut y = gpu.alloc(n)?;
    let args = vec![Arg::In(x), u, Arg::Out(&mut y), Arg::Size(n), Arg::Size(order)];
    f.call().launch(gpu, Work::Each(n), args)?;
    Ok(y)
}
