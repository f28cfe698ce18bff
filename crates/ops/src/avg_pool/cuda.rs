//! Launches of the kernels of average pooling.

use super::spec::Divisor;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::window::PoolDims;

static KERNEL: Kernel = Kernel::new("avg_pool", include_str!("kernel.cu"));

/// Elements of a window from which on a block adds them, not a thread.
const LARGE: usize = 1 << 10;

/// The means of all windows.
pub(super) fn forward(gpu: &Gpu, dims: &PoolDims, divisor: Divisor, x: View<'_>) -> Result<Buffer> {
    let n = dims.planes.output_len;
    let (function, work) =
        if dims.taps() < LARGE { ("avg_pool", Work::Each(n)) } else { ("avg_pool_large", Work::Blocks(n)) };
    launch(gpu, (function, work), dims, divisor, x, n)
}

/// `dy` over its divisor, added to every element of its window.
pub(super) fn input_grad(gpu: &Gpu, dims: &PoolDims, divisor: Divisor, dy: View<'_>) -> Result<Buffer> {
    let n = dims.planes.input.iter().product();
    launch(gpu, ("avg_pool_grad", Work::Each(n)), dims, divisor, dy, n)
}

fn launch(
    gpu: &Gpu,
    (function, work): (&'static str, Work),
    dims: &PoolDims,
    divisor: Divisor,
    from: View<'_>,
    n: usize,
) -> Result<Buffer> {
    let mut to = gpu.alloc(n)?;
    let (kind, fixed) = match divisor {
        Divisor::Fixed(divisor) => (0, divisor as f64),
        Divisor::Padded => (1, 1.),
        Divisor::Valid => (2, 1.),
    };
    let geometry = [Arg::Sizes(dims.cuda()), Arg::Size(kind), Arg::Real(fixed), Arg::Size(n)];
    let args = [Arg::In(from), Arg::Out(&mut to)].into_iter().chain(geometry).collect();
    gpu.launch(&KERNEL, function, work, args)?;
    Ok(to)
}
