//! The launch of the dropout kernel.

use super::spec::Mask;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("dropout", include_str!("kernel.cu"));

/// `x · scale + shift` where kept, the mask's constant elsewhere.
pub(super) fn apply(gpu: &Gpu, mask: &Mask, x: View<'_>) -> Result<Buffer> {
    let n = x.len();
    let mut y = gpu.alloc(n)?;
    // Above all words where nothing is kept.
    let threshold = mask.threshold.map_or(1 << 32, u64::from);
    let step_and_layer = u64::from(mask.draw.step) | u64::from(mask.draw.layer) << 32;
    let args = vec![
        Arg::In(x),
        Arg::Out(&mut y),
        Arg::Size(n),
        Arg::Size(mask.run),
        Arg::Word(mask.first),
        Arg::Word(mask.draw.seed),
        Arg::Word(step_and_layer),
        Arg::Word(threshold),
        Arg::Real(mask.scale),
        Arg::Real(mask.shift),
        Arg::Real(mask.dropped),
    ];
    gpu.launch(&KERNEL, "dropout", Work::Each(n), args)?;
    Ok(y)
}
