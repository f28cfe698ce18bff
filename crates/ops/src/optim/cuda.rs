//! The launches of the optimisers' steps.

use crate::Result;
use crate::cuda::{Arg, Gpu, Kernel, View, ViewMut, Work};

static KERNEL: Kernel = Kernel::new("optim", include_str!("kernel.cu"));

/// Runs `function`, which takes the gradient, the variables, their length and the numbers.
pub(super) fn run(
    gpu: &Gpu,
    grad: View<'_>,
    vars: Vec<ViewMut<'_>>,
    (function, numbers): (&'static str, Vec<f64>),
) -> Result<()> {
    let n = grad.len();
    let vars = vars.into_iter().map(Arg::Update);
    let numbers = numbers.into_iter().map(Arg::Real);
    let args = [Arg::In(grad)].into_iter().chain(vars).chain([Arg::Size(n)]).chain(numbers).collect();
    gpu.launch(&KERNEL, function, Work::Each(n), args)
}
