//! The launches of the negative log-likelihood.

use super::spec::Loss;
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::{Result, sums};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("nll_loss", include_str!("kernel.cu"));

pub(super) fn forward(gpu: &Gpu, loss: &Loss, log_p: View<'_>) -> Result<Buffer> {
    let n = loss.dims.positions();
    let chosen = loss.targets.on_device("nll_loss")?;
    let launch = |y: Arg<'_>, losses: Arg<'_>| {
        let pointers = [Arg::In(log_p), Arg::In(chosen.view()), loss.weight.arg(), y, losses];
        let sizes = [loss.dims.classes, loss.dims.inner, n].map(Arg::Size);
        gpu.launch(&KERNEL, "nll_loss", Work::Each(n), pointers.into_iter().chain(sizes).collect())
    };
    match loss.divisor {
        None => {
            let mut y = gpu.alloc(n)?;
            launch(Arg::Out(&mut y), Arg::Null)?;
            Ok(y)
        }
        Some(divisor) => {
            let mut losses = gpu.alloc_of(DType::F64, n)?;
            launch(Arg::Null, Arg::Out(&mut losses))?;
            sums::sum(gpu, losses.view(), divisor)
        }
    }
}

pub(super) fn grad(gpu: &Gpu, loss: &Loss, dy: View<'_>) -> Result<Buffer> {
    let n = loss.dims.positions() * loss.dims.classes;
    let mut dx = gpu.alloc(n)?;
    let chosen = loss.targets.on_device("nll_loss_grad")?;
    let pointers = [Arg::In(dy), Arg::In(chosen.view()), loss.weight.arg(), Arg::Out(&mut dx)];
    let step = usize::from(loss.divisor.is_none());
    let sizes = [loss.dims.classes, loss.dims.inner, step, n].map(Arg::Size);
    let args = pointers.into_iter().chain(sizes).chain([Arg::Double(loss.divisor.unwrap_or(1.))]).collect();
    gpu.launch(&KERNEL, "nll_loss_grad", Work::Each(n), args)?;
    Ok(dx)
}
