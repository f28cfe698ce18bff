//! The launches of the parametric rectifier.

use super::spec::PreluDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::sums::{RUN, totals};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("prelu", include_str!("kernel.cu"));

/// t where x is positive, else w · t.
pub(super) fn select(gpu: &Gpu, dims: &PreluDims, inputs: [View<'_>; 3]) -> Result<Buffer> {
    each(gpu, dims, inputs, 1)
}

/// w · t where x is not positive, else 0.
pub(super) fn left_scale(gpu: &Gpu, dims: &PreluDims, inputs: [View<'_>; 3]) -> Result<Buffer> {
    each(gpu, dims, inputs, 0)
}

/// Σ a · b of each channel, over the elements where x is not positive.
pub(super) fn left_sum(gpu: &Gpu, dims: &PreluDims, [x, a, b]: [View<'_>; 3]) -> Result<Buffer> {
    let channels = dims.channels;
    let of_channel = x.len().checked_div(channels).unwrap_or(0);
    let items = channels * of_channel.div_ceil(RUN);
    let mut sums = gpu.alloc_of(DType::F64, items)?;
    let pointers = [Arg::In(x), Arg::In(a), Arg::In(b), Arg::Out(&mut sums)];
    let sizes = [channels, inner(dims, x.len()), of_channel, items].map(Arg::Size);
    gpu.launch(&KERNEL, "prelu_run_sums", Work::Blocks(items), pointers.into_iter().chain(sizes).collect())?;
    totals(gpu, sums.view(), channels, 1.)
}

fn each(gpu: &Gpu, dims: &PreluDims, [x, w, t]: [View<'_>; 3], keep: usize) -> Result<Buffer> {
    let n = x.len();
    let mut y = gpu.alloc(n)?;
    let pointers = [Arg::In(x), Arg::In(w), Arg::In(t), Arg::Out(&mut y)];
    let sizes = [dims.channels, inner(dims, n), keep, n].map(Arg::Size);
    gpu.launch(&KERNEL, "prelu", Work::Each(n), pointers.into_iter().chain(sizes).collect())?;
    Ok(y)
}

/// Elements of a channel that lie together: all, where there is one.
fn inner(dims: &PreluDims, len: usize) -> usize {
    if dims.channels == 1 { len } else { dims.inner }
}
