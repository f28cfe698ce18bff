//! The launches of the cross entropy.

use super::spec::{Loss, Target};
use crate::cuda::{Arg, Buffer, Gpu, Kernel, View, Work};
use crate::{Reduction, Result, sums};
use candle_core::DType;

static KERNEL: Kernel = Kernel::new("cross_entropy", include_str!("kernel.cu"));

/// What turns each position's logits into probabilities: `−log p = (max − x) + log_sum`.
#[derive(Debug)]
pub(super) struct Normalisers {
    max: Buffer,
    log_sum: Buffer,
}

impl Normalisers {
    pub(super) fn new(gpu: &Gpu, loss: &Loss, x: View<'_>) -> Result<Self> {
        let n = loss.dims.positions();
        let (mut max, mut log_sum) = (gpu.alloc_of(DType::F64, n)?, gpu.alloc_of(DType::F64, n)?);
        let args = vec![Arg::In(x), Arg::Out(&mut max), Arg::Out(&mut log_sum), sizes(loss)];
        gpu.launch(&KERNEL, "cross_entropy_normalisers", work(loss), args)?;
        Ok(Self { max, log_sum })
    }

    fn args(&self) -> [Arg<'_>; 2] {
        [&self.max, &self.log_sum].map(|buffer| Arg::In(buffer.view()))
    }
}

/// The losses of the positions, reduced as the loss says.
pub(super) fn forward(
    gpu: &Gpu,
    loss: &Loss,
    x: View<'_>,
    target: Option<View<'_>>,
    normalisers: &Normalisers,
) -> Result<Buffer> {
    let n = loss.dims.positions();
    let launch = |y: Arg<'_>, losses: Arg<'_>| {
        let inputs = [Arg::In(x)].into_iter().chain(normalisers.args()).chain(targets(loss, target)?);
        let args = inputs.chain([y, losses, sizes(loss)]).collect();
        gpu.launch(&KERNEL, "cross_entropy", work(loss), args)
    };
    match loss.reduction {
        Reduction::None => {
            let mut y = gpu.alloc(n)?;
            launch(Arg::Out(&mut y), Arg::Null)?;
            Ok(y)
        }
        Reduction::Sum | Reduction::Mean | Reduction::BatchMean => {
            let mut losses = gpu.alloc_of(DType::F64, n)?;
            launch(Arg::Null, Arg::Out(&mut losses))?;
            sums::sum(gpu, losses.view(), loss.divisor)
        }
    }
}

/// dlogits.
pub(super) fn logits_grad(
    gpu: &Gpu,
    loss: &Loss,
    [x, dy]: [View<'_>; 2],
    target: Option<View<'_>>,
    normalisers: &Normalisers,
) -> Result<Buffer> {
    let mut dx = gpu.alloc(x.len())?;
    let inputs = [Arg::In(x)].into_iter().chain(normalisers.args()).chain(targets(loss, target)?);
    let args = inputs.chain(scaled(loss, dy)).chain([Arg::Out(&mut dx), sizes(loss)]).collect();
    gpu.launch(&KERNEL, "cross_entropy_grad", work(loss), args)?;
    Ok(dx)
}

/// dtarget, of class probabilities.
pub(super) fn target_grad(gpu: &Gpu, loss: &Loss, [x, dy]: [View<'_>; 2], normalisers: &Normalisers) -> Result<Buffer> {
    let n = x.len();
    let mut dtarget = gpu.alloc(n)?;
    let weights = [loss.weight.arg(), Arg::Double(loss.label_smoothing)];
    let inputs = [Arg::In(x)].into_iter().chain(normalisers.args()).chain(weights).chain(scaled(loss, dy));
    let args = inputs.chain([Arg::Out(&mut dtarget), sizes(loss), Arg::Size(n)]).collect();
    gpu.launch(&KERNEL, "cross_entropy_target_grad", Work::Each(n), args)?;
    Ok(dtarget)
}

/// A warp a position, or a thread.
fn work(loss: &Loss) -> Work {
    let n = loss.dims.positions();
    if loss.dims.inner == 1 { Work::Warps(n) } else { Work::Each(n) }
}

/// The kernels' `Loss`.
fn sizes(loss: &Loss) -> Arg<'_> {
    Arg::Sizes(vec![loss.dims.classes, loss.dims.inner, loss.dims.positions()])
}

/// What makes the kernels' `Targets`.
fn targets<'a>(loss: &'a Loss, target: Option<View<'a>>) -> Result<[Arg<'a>; 4]> {
    let chosen = match &loss.target {
        Target::Classes(classes) => Arg::In(classes.on_device("cross_entropy")?.view()),
        Target::Probabilities => Arg::Null,
    };
    Ok([chosen, target.map_or(Arg::Null, Arg::In), loss.weight.arg(), Arg::Double(loss.label_smoothing)])
}

/// dloss, how it is read and what it is divided by.
fn scaled<'a>(loss: &Loss, dy: View<'a>) -> [Arg<'a>; 3] {
    let step = usize::from(matches!(loss.reduction, Reduction::None));
    [Arg::In(dy), Arg::Size(step), Arg::Double(loss.divisor)]
}
