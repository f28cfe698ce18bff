//! The launches of what comes behind an operator.

use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("rectified", include_str!("kernel.cu"));

/// max(y, 0), where y was.
pub(super) fn rectify(gpu: &Gpu, y: &mut Buffer) -> Result<()> {
    let n = y.len();
    gpu.launch(&KERNEL, "rectify", Work::Each(n), vec![Arg::Out(y), Arg::Size(n)])
}

/// a + b.
pub(super) fn add(gpu: &Gpu, a: View<'_>, b: View<'_>) -> Result<Buffer> {
    let n = a.len();
    let mut y = gpu.alloc(n)?;
    gpu.launch(&KERNEL, "add", Work::Each(n), vec![Arg::In(a), Arg::In(b), Arg::Out(&mut y), Arg::Size(n)])?;
    Ok(y)
}
