//! The launch of the kernel of powers.

use super::autograd::Power;
use crate::Result;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};

static KERNEL: Kernel = Kernel::new("power", include_str!("kernel.cu"));

/// `g · coefficient · x^exponent`, with `g = 1` where there is none.
pub(super) fn power(gpu: &Gpu, power: &Power, x: View<'_>, g: Option<View<'_>>) -> Result<Buffer> {
    let n = x.len();
    let mut y = gpu.alloc(n)?;
    let numbers = [Arg::Real(power.coefficient), Arg::Real(power.exponent)];
    let sizes = [Arg::Size(usize::from(power.flat_at_zero)), Arg::Size(n)];
    let tensors = [Arg::In(x), g.map_or(Arg::Null, Arg::In), Arg::Out(&mut y)];
    gpu.launch(&KERNEL, "power", Work::Each(n), tensors.into_iter().chain(numbers).chain(sizes).collect())?;
    Ok(y)
}
