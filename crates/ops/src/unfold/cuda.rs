//! Launches of the kernels of unfolding.

use super::spec::UnfoldDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("unfold", include_str!("kernel.cu"));

/// The columns of all windows of `image`.
pub(super) fn unfold(gpu: &Gpu, dims: &UnfoldDims, image: View<'_>) -> Result<Buffer> {
    launch(gpu, "unfold", dims, image, dims.columns.iter().product())
}

/// Every element of `columns` added to the one of the image that it stands for.
pub(super) fn fold(gpu: &Gpu, dims: &UnfoldDims, columns: View<'_>) -> Result<Buffer> {
    launch(gpu, "fold", dims, columns, dims.image.iter().product())
}

fn launch(gpu: &Gpu, function: &'static str, dims: &UnfoldDims, from: View<'_>, n: usize) -> Result<Buffer> {
    let mut to = gpu.alloc(n)?;
    let args = vec![Arg::In(from), Arg::Out(&mut to), Arg::Sizes(windows(dims)), Arg::Size(n)];
    gpu.launch(&KERNEL, function, Work::Each(n), args)?;
    Ok(to)
}

/// The geometry as the kernels' `Windows`, with a unit axis in front.
fn windows(dims: &UnfoldDims) -> Vec<usize> {
    let spec = &dims.spec;
    let axis = |i: usize| {
        [dims.extents[i], dims.blocks[i], spec.kernel_size[i], spec.stride[i], spec.padding[i], spec.dilation[i]]
    };
    [[1, 1, 1, 1, 0, 1], axis(0), axis(1)].concat()
}
