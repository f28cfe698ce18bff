//! The kernels of fractional pooling and what tells them where the windows lie.

use super::spec::FractionalDims;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel};
use crate::max_pool::Kernels;

static KERNEL: Kernel = Kernel::new("fractional_pool", include_str!("kernel.cu"));

pub(super) const MAXIMA: Kernels =
    Kernels { file: &KERNEL, maxima: "fractional_max_pool", grad: "fractional_max_pool_grad" };

/// The random numbers of all planes.
pub(super) fn samples<const D: usize>(gpu: &Gpu, dims: &FractionalDims<D>) -> Result<Buffer> {
    gpu.upload(dims.samples.clone())
}

/// The kernels' arguments: those numbers and `Fractional`.
pub(super) fn geometry<'a, const D: usize>(dims: &FractionalDims<D>, samples: &'a Buffer) -> Vec<Arg<'a>> {
    let axis = |i: usize| [dims.extents[i], dims.output_size[i], dims.kernel_size[i], FractionalDims::<D>::sample(i)];
    let units = (D..3).flat_map(|_| [1, 1, 1, 0]);
    vec![Arg::In(samples.view()), Arg::Sizes(units.chain((0..D).flat_map(axis)).chain([D]).collect())]
}
