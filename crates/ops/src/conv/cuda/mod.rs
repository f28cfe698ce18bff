//! Convolution on a CUDA device: by cuDNN wherever it has a deterministic algorithm, else by kernels of our own.

#[cfg(feature = "cuda")]
mod cudnn;

use super::spec::ConvDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("conv", include_str!("kernel.cu"));

/// y = x ⋆ w + b.
pub(super) fn forward(gpu: &Gpu, d: &ConvDims, x: View<'_>, w: View<'_>, b: Option<View<'_>>) -> Result<Buffer> {
    let n = d.n * d.c_out * d.out_plane();
    let mut y = gpu.alloc(n)?;
    #[cfg(feature = "cuda")]
    if cudnn::run(gpu, d, cudnn::Pass::Forward, [x, w], &mut y)? {
        return add_bias(gpu, b, d.c_out, d.out_plane(), y);
    }
    let args = vec![Arg::In(x), Arg::In(w), optional(b), Arg::Out(&mut y), Arg::Sizes(sizes(d)), Arg::Size(n)];
    gpu.launch(&KERNEL, "conv", Work::Each(n), args)?;
    Ok(y)
}

/// dx from dy and w, + b.
pub(super) fn input_grad(gpu: &Gpu, d: &ConvDims, dy: View<'_>, w: View<'_>, b: Option<View<'_>>) -> Result<Buffer> {
    let n = d.n * d.c_in * d.in_plane();
    let mut dx = gpu.alloc(n)?;
    #[cfg(feature = "cuda")]
    if cudnn::run(gpu, d, cudnn::Pass::InputGrad, [dy, w], &mut dx)? {
        return add_bias(gpu, b, d.c_in, d.in_plane(), dx);
    }
    let args = vec![Arg::In(dy), Arg::In(w), optional(b), Arg::Out(&mut dx), Arg::Sizes(sizes(d)), Arg::Size(n)];
    gpu.launch(&KERNEL, "conv_input_grad", Work::Each(n), args)?;
    Ok(dx)
}

/// dw from x and dy.
pub(super) fn weight_grad(gpu: &Gpu, d: &ConvDims, x: View<'_>, dy: View<'_>) -> Result<Buffer> {
    let n = d.c_out * d.c_in_group() * d.taps();
    let mut dw = gpu.alloc(n)?;
    #[cfg(feature = "cuda")]
    if cudnn::run(gpu, d, cudnn::Pass::WeightGrad, [x, dy], &mut dw)? {
        return Ok(dw);
    }
    let sizes = [Arg::Sizes(sizes(d)), Arg::Size(d.n), Arg::Size(n)];
    let args = [Arg::In(x), Arg::In(dy), Arg::Out(&mut dw)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "conv_weight_grad", Work::Blocks(n), args)?;
    Ok(dw)
}

/// db[o] = Σ dy[n, o, position].
pub(super) fn bias_grad(gpu: &Gpu, n: usize, channels: usize, plane: usize, dy: View<'_>) -> Result<Buffer> {
    let mut db = gpu.alloc(channels)?;
    let args = vec![Arg::In(dy), Arg::Out(&mut db), Arg::Size(n), Arg::Size(channels), Arg::Size(plane)];
    gpu.launch(&KERNEL, "conv_bias_grad", Work::Blocks(channels), args)?;
    Ok(db)
}

/// Adds to each plane of `y` the bias of its channel, where there is one.
#[cfg(feature = "cuda")]
fn add_bias(gpu: &Gpu, b: Option<View<'_>>, channels: usize, plane: usize, mut y: Buffer) -> Result<Buffer> {
    if let Some(b) = b {
        let n = y.len();
        let args = vec![Arg::In(b), Arg::Out(&mut y), Arg::Size(channels), Arg::Size(plane), Arg::Size(n)];
        gpu.launch(&KERNEL, "conv_add_bias", Work::Each(n), args)?;
    }
    Ok(y)
}

fn optional(b: Option<View<'_>>) -> Arg<'_> {
    b.map_or(Arg::Null, Arg::In)
}

/// The geometry as the kernels' `Conv`.
fn sizes(d: &ConvDims) -> Vec<usize> {
    let axis = |i: usize| [d.input[i], d.output[i], d.kernel[i], d.stride[i], d.padding[i], d.dilation[i]];
    [d.groups, d.c_in_group(), d.c_out_group()].into_iter().chain((0..3).flat_map(axis)).collect()
}
