//! What batch and instance normalisation share: a weight and a bias for each channel, and running statistics.

use super::{Affine, BatchNormConfig, expect_channels};
use crate::parameters::{flag, float, float_or_none};
use candle_core::{DType, Error, Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use std::fmt::{Display, Formatter};
use taper_ops::{ChannelStatistics, Mode, batch_norm_eval};

#[derive(Debug, Clone)]
pub(super) struct ChannelNorm {
    pub(super) name: &'static str,
    pub(super) affine: Affine,
    pub(super) path: String,
    num_features: usize,
    eps: f64,
    momentum: Option<f64>,
    running: Option<Running>,
}

impl ChannelNorm {
    pub(super) fn new(
        name: &'static str,
        num_features: usize,
        config: BatchNormConfig,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        let BatchNormConfig { eps, momentum, affine, bias, track_running_stats } = config;
        if let Some(value) = momentum.filter(|momentum| !(0.0..=1.0).contains(momentum)) {
            let (argument, expected) = ("momentum", "between 0 and 1");
            return Err(taper_ops::Error::Value { op: name, argument, expected, value }.into());
        }
        let affine = Affine::new(num_features, affine, bias, vb)?;
        let running = track_running_stats.then(|| Running::new(num_features, vb)).transpose()?;
        Ok(Self { name, affine, path: vb.prefix(), num_features, eps, momentum, running })
    }

    pub(super) fn expect_channels(&self, x: &Tensor, axis: usize) -> taper_ops::Result<()> {
        expect_channels(self.name, x, axis, self.num_features)
    }

    /// Normalises `[N, C, …]`: by the running statistics in evaluation, where there are any, else by its own, as `own` does
    /// or, where the running ones are to follow them, `with_statistics`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mode: &Mode,
        own: impl Fn(&Tensor, Option<&Tensor>, Option<&Tensor>, f64) -> taper_ops::Result<Tensor>,
        with_statistics: impl Fn(
            &Tensor,
            Option<&Tensor>,
            Option<&Tensor>,
            f64,
        ) -> taper_ops::Result<(Tensor, ChannelStatistics)>,
    ) -> Result<Tensor> {
        let (weight, bias) = (self.affine.weight(), self.affine.bias());
        match &self.running {
            None => Ok(own(x, weight, bias, self.eps)?),
            Some(running) if mode.is_training() => {
                let (y, batch) = with_statistics(x, weight, bias, self.eps)?;
                running.follow(&batch, self.momentum, self.name)?;
                Ok(y)
            }
            Some(running) => Ok(batch_norm_eval(x, &running.statistics(), weight, bias, self.eps)?),
        }
    }

    pub(super) fn running_mean(&self) -> Option<&Tensor> {
        self.running.as_ref().map(|running| running.mean.as_tensor())
    }

    pub(super) fn running_var(&self) -> Option<&Tensor> {
        self.running.as_ref().map(|running| running.var.as_tensor())
    }
}

impl Display for ChannelNorm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, num_features, affine, .. } = self;
        let (eps, momentum) = (float(self.eps), float_or_none(self.momentum));
        let (tracked, bias) = (flag(self.running.is_some()), flag(affine.bias.is_some()));
        let affine = flag(affine.weight.is_some());
        write!(f, "{name}({num_features}, eps={eps}, momentum={momentum}, affine={affine}, bias={bias}")?;
        write!(f, ", track_running_stats={tracked})")
    }
}

/// Statistics that follow those of the batches. They are variables, so that whoever else holds them, such as a
/// [`VarStore`](crate::VarStore), sees them move.
#[derive(Debug, Clone)]
struct Running {
    mean: Var,
    var: Var,
    num_batches_tracked: Var,
}

impl Running {
    fn new(num_features: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let statistic = |name, value| Var::from_tensor(&vb.get_with_hints(num_features, name, Init::Const(value))?);
        let count = vb.get_with_hints_dtype((), "num_batches_tracked", Init::Const(0.), DType::I64);
        let count = match count {
            // Files that candle-nn wrote, or PyTorch before 0.4.1, have no count; PyTorch reads them as well.
            Err(error) if is_absent(&error) => Tensor::new(0i64, vb.device()),
            count => count,
        };
        Ok(Self {
            mean: statistic("running_mean", 0.)?,
            var: statistic("running_var", 1.)?,
            num_batches_tracked: Var::from_tensor(&count?)?,
        })
    }

    fn statistics(&self) -> ChannelStatistics {
        ChannelStatistics { mean: self.mean.as_detached_tensor(), var: self.var.as_detached_tensor() }
    }

    /// Moves towards the statistics of one more batch, by the share `momentum`, or to the average over all.
    fn follow(&self, batch: &ChannelStatistics, momentum: Option<f64>, op: &'static str) -> Result<()> {
        let count: i64 = self.num_batches_tracked.to_scalar()?;
        if count < 0 {
            let (argument, value) = ("num_batches_tracked", count as f64);
            return Err(taper_ops::Error::Value { op, argument, expected: "at least 0", value }.into());
        }
        let count = count.saturating_add(1);
        let momentum = momentum.unwrap_or(1. / count as f64);
        let moved = |running: &Var, batch: &Tensor| {
            let rest = (running.as_detached_tensor().to_dtype(DType::F64)? * (1. - momentum))?;
            (rest + (batch.to_dtype(DType::F64)? * momentum)?)?.to_dtype(running.dtype())
        };
        let (mean, var) = (moved(&self.mean, &batch.mean)?, moved(&self.var, &batch.var)?);
        let count = Tensor::new(count, self.num_batches_tracked.device())?;
        // Only now that nothing can fail any more.
        self.mean.set(&mean)?;
        self.var.set(&var)?;
        self.num_batches_tracked.set(&count)
    }
}

/// Whether a builder refused a tensor because its file has none of that name.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::CannotFindTensor { .. } => true,
        Error::WithBacktrace { inner, .. } | Error::WithPath { inner, .. } | Error::Context { inner, .. } => {
            is_absent(inner)
        }
        _ => false,
    }
}
