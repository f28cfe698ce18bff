//! Launches of the kernels of maximum pooling.

use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::planes::Planes;
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("max_pool", include_str!("kernel.cu"));

/// A family's kernels of maxima and of their gradient.
pub(crate) struct Kernels {
    pub(crate) file: &'static Kernel,
    pub(crate) maxima: &'static str,
    pub(crate) grad: &'static str,
}

/// Those of windows at regular distances.
pub(super) const WINDOWS: Kernels = Kernels { file: &KERNEL, maxima: "max_pool", grad: "max_pool_grad" };

impl Kernels {
    /// The maxima of all windows and, where they are asked for, their indices within their planes; `geometry` tells the kernel
    /// where the windows lie.
    pub(crate) fn forward(
        &self,
        gpu: &Gpu,
        planes: &Planes,
        geometry: Vec<Arg<'_>>,
        x: View<'_>,
        with_places: bool,
    ) -> Result<(Buffer, Option<Buffer>)> {
        let n = planes.output_len;
        let mut y = gpu.alloc(n)?;
        let mut places = with_places.then(|| gpu.alloc_of(DType::U32, n)).transpose()?;
        let places_arg = places.as_mut().map_or(Arg::Null, Arg::Out);
        let tensors = [Arg::In(x), Arg::Out(&mut y), places_arg];
        let args = tensors.into_iter().chain(geometry).chain([Arg::Size(n)]).collect();
        gpu.launch(self.file, self.maxima, Work::Each(n), args)?;
        Ok((y, places))
    }

    /// Adds `dy` to the elements it came from.
    pub(crate) fn scatter(
        &self,
        gpu: &Gpu,
        planes: &Planes,
        geometry: Vec<Arg<'_>>,
        places: &Buffer,
        dy: View<'_>,
    ) -> Result<Buffer> {
        let n = planes.input.iter().product();
        let mut dx = gpu.alloc(n)?;
        let tensors = [Arg::In(places.view()), Arg::In(dy), Arg::Out(&mut dx)];
        let args = tensors.into_iter().chain(geometry).chain([Arg::Size(n)]).collect();
        gpu.launch(self.file, self.grad, Work::Each(n), args)?;
        Ok(dx)
    }
}

/// The elements of `x` at the places.
pub(super) fn gather(gpu: &Gpu, planes: &Planes, places: &Buffer, x: View<'_>) -> Result<Buffer> {
    let n = planes.output_len;
    let mut y = gpu.alloc(n)?;
    let sizes = [Arg::Size(planes.plane_in), Arg::Size(planes.plane_out), Arg::Size(n)];
    let args = [Arg::In(places.view()), Arg::In(x), Arg::Out(&mut y)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "max_pool_gather", Work::Each(n), args)?;
    Ok(y)
}

/// The places as a tensor holds them.
pub(super) fn indices(gpu: &Gpu, places: &Buffer) -> Result<Buffer> {
    let n = places.len();
    let mut indices = gpu.alloc_of(DType::I64, n)?;
    let args = vec![Arg::In(places.view()), Arg::Out(&mut indices), Arg::Size(n)];
    gpu.launch(&KERNEL, "max_pool_indices", Work::Each(n), args)?;
    Ok(indices)
}
