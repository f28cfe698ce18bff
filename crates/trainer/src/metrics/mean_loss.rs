//! The mean loss.

use super::Metric;
use crate::Result;
use candle_core::Tensor;

/// The mean loss of a sample: the losses of the batches, each the mean over its samples, weighted by their samples. Without any
/// sample it is undefined.
///
/// [`Metrics`](crate::Metrics) tell of the loss anyway; this is for where a [`Metric`] is asked for.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use taper_trainer::{MeanLoss, Metric};
///
/// let mut mean = MeanLoss::default();
/// for (samples, loss) in [(3, 1.0), (1, 2.0)] {
///     let logits = Tensor::zeros((samples, 2), DType::F32, &Device::Cpu)?;
///     mean.update(&logits, &Tensor::zeros(samples, DType::U32, &Device::Cpu)?, loss)?;
/// }
/// assert_eq!(mean.value(), Some(1.25));
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeanLoss {
    sum: f64,
    samples: usize,
}

impl Metric for MeanLoss {
    fn name(&self) -> String {
        "mean_loss".to_owned()
    }

    fn update(&mut self, logits: &Tensor, _: &Tensor, loss: f64) -> Result<()> {
        let samples = logits.dims().first().copied().unwrap_or(0);
        self.sum += loss * samples as f64;
        self.samples += samples;
        Ok(())
    }

    fn value(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}
