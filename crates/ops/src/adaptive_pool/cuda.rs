//! Launches of the kernels of adaptive pooling.

use super::spec::AdaptiveDims;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::max_pool::Kernels;
use crate::{Error, Result};

static KERNEL: Kernel = Kernel::new("adaptive_pool", include_str!("kernel.cu"));

pub(super) const MAXIMA: Kernels =
    Kernels { file: &KERNEL, maxima: "adaptive_max_pool", grad: "adaptive_max_pool_grad" };

/// Elements of a window from which on a block adds them, not a thread.
const LARGE: usize = 1 << 10;

/// The means of all windows.
pub(super) fn means(gpu: &Gpu, dims: &AdaptiveDims, x: View<'_>) -> Result<Buffer> {
    let n = dims.planes.output_len;
    let large = dims.planes.plane_in / dims.planes.plane_out >= LARGE;
    let (function, work) =
        if large { ("adaptive_avg_pool_large", Work::Blocks(n)) } else { ("adaptive_avg_pool", Work::Each(n)) };
    launch(gpu, (function, work), dims, x, n)
}

/// `dy` over its count, added to every element of its window.
pub(super) fn spread(gpu: &Gpu, dims: &AdaptiveDims, dy: View<'_>) -> Result<Buffer> {
    let n = dims.planes.input.iter().product();
    launch(gpu, ("adaptive_avg_pool_grad", Work::Each(n)), dims, dy, n)
}

/// The kernels' `Adaptive`, which multiply two extents in 64 bits.
pub(super) fn geometry(dims: &AdaptiveDims) -> Result<Arg<'static>> {
    let mut sizes = Vec::new();
    for axis in dims.grid.axes() {
        let (input, output) = (axis.input, axis.windows.len());
        let largest = input.checked_mul(output).and_then(|product| product.checked_add(input.max(output)));
        largest
            .ok_or(Error::Overflow { op: dims.planes.op, what: "the product of an input's and an output's extent" })?;
        sizes.extend([input, output]);
    }
    Ok(Arg::Sizes(sizes))
}

fn launch(
    gpu: &Gpu,
    (function, work): (&'static str, Work),
    dims: &AdaptiveDims,
    from: View<'_>,
    n: usize,
) -> Result<Buffer> {
    let mut to = gpu.alloc(n)?;
    let args = vec![Arg::In(from), Arg::Out(&mut to), geometry(dims)?, Arg::Size(n)];
    gpu.launch(&KERNEL, function, work, args)?;
    Ok(to)
}
