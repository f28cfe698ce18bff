//! The launches along classes.

use super::spec::SoftmaxDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("softmax", include_str!("kernel.cu"));

/// Runs `function` on x (twice) or on y and dy.
pub(super) fn run(gpu: &Gpu, dims: &SoftmaxDims, function: &'static str, [a, b]: [View<'_>; 2]) -> Result<Buffer> {
    let n = a.len();
    let positions = n.checked_div(dims.classes).unwrap_or(0);
    let mut out = gpu.alloc(n)?;
    let sizes = [dims.classes, dims.inner, positions].map(Arg::Size);
    let args = [Arg::In(a), Arg::In(b), Arg::Out(&mut out)].into_iter().chain(sizes).collect();
    let work = if dims.inner == 1 { Work::Warps(positions) } else { Work::Each(positions) };
    gpu.launch(&KERNEL, function, work, args)?;
    Ok(out)
}
