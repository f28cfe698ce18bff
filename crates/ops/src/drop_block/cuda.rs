//! The launches of DropBlock. Its scale is counted on the device, which is not waited for.

use super::spec::Blocks;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::sums::RUN;
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("drop_block", include_str!("kernel.cu"));

/// `x · scale` outside the blocks, 0 within.
pub(super) fn apply(gpu: &Gpu, blocks: &Blocks, x: View<'_>) -> Result<Buffer> {
    let n = x.len();
    let (kept, scale) = mask(gpu, blocks, n)?;
    let mut y = gpu.alloc(n)?;
    let inputs = [Arg::In(x), Arg::In(kept.view()), Arg::In(scale.view())];
    let args = inputs.into_iter().chain([Arg::Out(&mut y), Arg::Size(n)]).collect();
    gpu.launch(&KERNEL, "drop_block", Work::Each(n), args)?;
    Ok(y)
}

/// Which of the `n` elements are kept, a byte each, and what they are multiplied by, a float64.
fn mask(gpu: &Gpu, blocks: &Blocks, n: usize) -> Result<(Buffer, Buffer)> {
    let &Blocks { width, block_size, starts: [down, across], threshold, draw, first, .. } = blocks;
    let (plane, runs) = (blocks.planes.plane_in, n.div_ceil(RUN));
    let places = n / plane * down * across;
    let mut starts = gpu.alloc_of(DType::U8, places)?;
    let step_and_layer = u64::from(draw.step) | u64::from(draw.layer) << 32;
    let words = [first, draw.seed, step_and_layer, threshold].map(Arg::Word);
    let args = [Arg::Out(&mut starts), Arg::Size(places)].into_iter().chain(words).collect();
    gpu.launch(&KERNEL, "drop_block_starts", Work::Each(places), args)?;

    let (mut kept, mut counts) = (gpu.alloc_of(DType::U8, n)?, gpu.alloc_of(DType::F64, runs)?);
    let geometry = Arg::Sizes(vec![plane / width, width, block_size, down, across]);
    let outputs = [Arg::Out(&mut kept), Arg::Out(&mut counts)];
    let args = [Arg::In(starts.view())].into_iter().chain(outputs).chain([geometry, Arg::Size(n)]).collect();
    gpu.launch(&KERNEL, "drop_block_mask", Work::Blocks(runs), args)?;

    let mut scale = gpu.alloc_of(DType::F64, 1)?;
    let args = vec![Arg::In(counts.view()), Arg::Out(&mut scale), Arg::Size(runs), Arg::Size(n)];
    gpu.launch(&KERNEL, "drop_block_scale", Work::Blocks(1), args)?;
    Ok((kept, scale))
}
