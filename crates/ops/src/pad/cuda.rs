//! Launches of the kernels of padding.

use super::spec::{Axis, PadDims, PadMode};
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("pad", include_str!("kernel.cu"));

/// `x` with its margins; those that come from no element of it are `value`.
pub(super) fn forward(gpu: &Gpu, dims: &PadDims, value: f64, x: View<'_>) -> Result<Buffer> {
    let n = dims.planes.output_len;
    let mut y = gpu.alloc(n)?;
    let args = vec![Arg::In(x), Arg::Out(&mut y), geometry(dims), Arg::Real(value), Arg::Size(n)];
    gpu.launch(&KERNEL, "pad", Work::Each(n), args)?;
    Ok(y)
}

/// Every element of `dy` added to the one that it comes from.
pub(super) fn transpose(gpu: &Gpu, dims: &PadDims, dy: View<'_>) -> Result<Buffer> {
    let n = dims.planes.input.iter().product();
    let mut dx = gpu.alloc(n)?;
    let args = vec![Arg::In(dy), Arg::Out(&mut dx), geometry(dims), Arg::Size(n)];
    gpu.launch(&KERNEL, "pad_grad", Work::Each(n), args)?;
    Ok(dx)
}

/// The kernels' `Padding`.
fn geometry(dims: &PadDims) -> Arg<'static> {
    let axis = |axis: &Axis| [axis.input, axis.sources.len(), axis.before];
    let mode = match dims.mode {
        PadMode::Constant(_) => 0,
        PadMode::Reflect => 1,
        PadMode::Replicate => 2,
        PadMode::Circular => 3,
    };
    Arg::Sizes(dims.axes.iter().flat_map(axis).chain([mode]).collect())
}
