//! Launches of the kernels of normalisation.

use super::cpu::Set;
use super::spec::{NormDims, Sets, Statistics};
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("norm", include_str!("kernel.cu"));

/// Elements of which one block takes the sums.
const SLICE: usize = 1 << 13;

/// Whose sums are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Sets,
    Channels,
}

/// The statistics of all sets: those of `x`.
pub(super) fn statistics(gpu: &Gpu, dims: &NormDims, x: View<'_>) -> Result<Buffer> {
    let (sets, slices) = (dims.set_count(), dims.set_len().div_ceil(SLICE));
    let mut moments = gpu.alloc_of(DType::F64, 2 * sets * slices)?;
    let centred = Arg::Size(usize::from(dims.statistics == Statistics::Centred));
    let sizes = [geometry(dims), centred, Arg::Size(slices), Arg::Size(sets * slices)];
    let args = [Arg::In(x), Arg::Out(&mut moments)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_moments", Work::Blocks(sets * slices), args)?;

    let mut found = gpu.alloc_of(DType::F64, 3 * sets)?;
    let sizes = [geometry(dims), Arg::Double(dims.eps), Arg::Size(slices), Arg::Size(sets)];
    let args = [Arg::In(moments.view()), Arg::Out(&mut found)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_sets", Work::Blocks(sets), args)?;
    Ok(found)
}

/// The statistics of all sets: those that are given.
pub(super) fn given(gpu: &Gpu, sets: &[Set]) -> Result<Buffer> {
    gpu.upload(sets.iter().flat_map(|set| [set.mean, set.var, set.scale]).collect())
}

pub(super) fn forward(
    gpu: &Gpu,
    dims: &NormDims,
    sets: &Buffer,
    x: View<'_>,
    weight: Option<View<'_>>,
    bias: Option<View<'_>>,
) -> Result<Buffer> {
    let n = x.len();
    let mut y = gpu.alloc(n)?;
    let inputs = [Arg::In(x), optional(weight), optional(bias), Arg::In(sets.view())];
    let args = inputs.into_iter().chain([Arg::Out(&mut y), geometry(dims), Arg::Size(n)]).collect();
    gpu.launch(&KERNEL, "normalise", Work::Each(n), args)?;
    Ok(y)
}

/// The gradient of the input and, where the sets are channels and have statistics of their own, the sums of
/// [`affine_sums`].
pub(super) fn input_grad(
    gpu: &Gpu,
    dims: &NormDims,
    sets: &Buffer,
    x: View<'_>,
    weight: Option<View<'_>>,
    dy: View<'_>,
) -> Result<(Buffer, Option<Buffer>)> {
    let sums = match (dims.statistics, dims.sets) {
        (Statistics::Fixed, _) => None,
        (_, Sets::Channels) => Some(sums(gpu, dims, Of::Channels, Some((x, sets)), None, dy)?),
        (_, Sets::Groups(_)) => Some(sums(gpu, dims, Of::Sets, Some((x, sets)), weight, dy)?),
    };
    let n = x.len();
    let mut dx = gpu.alloc(n)?;
    let inputs = [Arg::In(x), optional(weight), Arg::In(dy), Arg::In(sets.view())];
    let centred = Arg::Size(usize::from(dims.statistics == Statistics::Centred));
    let sizes = [geometry(dims), centred, Arg::Size(n)];
    let outputs = [optional(sums.as_ref().map(Buffer::view)), Arg::Out(&mut dx)];
    let args = inputs.into_iter().chain(outputs).chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_grad", Work::Each(n), args)?;
    Ok((dx, sums.filter(|_| dims.sets == Sets::Channels)))
}

/// For each channel the sum of `dy` and, where x and its statistics are given, of its products with the normalised x.
pub(super) fn affine_sums(gpu: &Gpu, dims: &NormDims, x: Option<(View<'_>, &Buffer)>, dy: View<'_>) -> Result<Buffer> {
    sums(gpu, dims, Of::Channels, x, None, dy)
}

/// The gradient of the bias, whose `number` among the sums of [`affine_sums`] is 0, or that of the weight, 1.
pub(super) fn affine_grad(gpu: &Gpu, dims: &NormDims, sums: &Buffer, number: usize) -> Result<Buffer> {
    let n = dims.channels;
    let mut grad = gpu.alloc(n)?;
    let args = vec![Arg::In(sums.view()), Arg::Out(&mut grad), Arg::Size(number), Arg::Size(n)];
    gpu.launch(&KERNEL, "norm_affine_grad", Work::Each(n), args)?;
    Ok(grad)
}

/// For each channel the mean of its sets' means (`number` 0) or unbiased variances (1): in float32, unless the input is float64.
pub(super) fn statistic(gpu: &Gpu, dims: &NormDims, sets: &Buffer, number: usize) -> Result<Buffer> {
    let n = dims.channels;
    let samples = dims.set_count().checked_div(n).unwrap_or_default();
    let mut statistic = gpu.alloc_of(gpu.real(), n)?;
    let sizes = [number, samples, dims.set_len(), n].map(Arg::Size);
    let args = [Arg::In(sets.view()), Arg::Out(&mut statistic)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_statistic", Work::Each(n), args)?;
    Ok(statistic)
}

/// For each set or channel the sums of `weight · dy` and of its products with the normalised x, and their means.
fn sums(
    gpu: &Gpu,
    dims: &NormDims,
    of: Of,
    x: Option<(View<'_>, &Buffer)>,
    weight: Option<View<'_>>,
    dy: View<'_>,
) -> Result<Buffer> {
    let (items, len) = match of {
        Of::Sets => (dims.set_count(), dims.set_len()),
        Of::Channels => (dims.channels, dims.samples * dims.positions),
    };
    let slices = len.div_ceil(SLICE);
    let mut products = gpu.alloc_of(DType::F64, 2 * items * slices)?;
    let (x, sets) = x.map(|(x, sets)| (x, sets.view())).unzip();
    let inputs = [optional(x), optional(weight), Arg::In(dy), optional(sets), Arg::Out(&mut products)];
    let of_channels = Arg::Size(usize::from(of == Of::Channels));
    let sizes = [geometry(dims), of_channels, Arg::Size(slices), Arg::Size(items * slices)];
    let args = inputs.into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_products", Work::Blocks(items * slices), args)?;

    let mut sums = gpu.alloc_of(DType::F64, 4 * items)?;
    let sizes = [Arg::Size(len), Arg::Size(slices), Arg::Size(items)];
    let args = [Arg::In(products.view()), Arg::Out(&mut sums)].into_iter().chain(sizes).collect();
    gpu.launch(&KERNEL, "norm_sums", Work::Blocks(items), args)?;
    Ok(sums)
}

fn optional(view: Option<View<'_>>) -> Arg<'_> {
    view.map_or(Arg::Null, Arg::In)
}

/// The geometry as the kernels' `Norm`.
fn geometry(dims: &NormDims) -> Arg<'static> {
    let group = match dims.sets {
        Sets::Channels => 0,
        Sets::Groups(channels) => channels,
    };
    let channel_len = dims.samples * dims.positions;
    Arg::Sizes(vec![dims.channels, dims.positions, group, dims.set_len(), channel_len, SLICE])
}
