//! One optimiser step.

use super::{Trainer, scalar};
use crate::data::Batch;
use crate::metrics::Totals;
use crate::optim::{clip_scale, gradients};
use crate::{Error, Rates, Result, StepEnd};
use candle_core::Tensor;
use std::collections::BTreeMap;
use taper_ops::optim::global_norm;
use taper_ops::{Mode, hardtanh};

impl Trainer<'_> {
    /// Forward, loss, gradients and step on one batch, counted into the position.
    pub(super) fn train_step(&mut self, batch: &Batch) -> Result<StepEnd> {
        // A step that fails counts for nothing, since another fit takes it again.
        let mut totals = self.position.totals;
        let (loss, grads) = self.gradients_of(batch, &mut totals)?;
        let rates = self.step_vars(grads)?;
        if let Some(ema) = &mut self.ema {
            ema.update(&self.trainable, self.position.step)?;
        }
        self.position.totals = totals;
        self.position.step += 1;
        self.position.batch += 1;
        Ok(StepEnd {
            epoch: self.position.epoch + 1,
            batch: self.position.batch,
            step: self.position.step,
            lr: rates.lr,
            loss,
            samples: batch.indices.len(),
            running: self.position.totals.metrics(),
        })
    }

    /// The mean loss of the batch and its gradients, in pieces where that was asked for. The graph and its activations are
    /// gone by the end, before the optimiser writes into what they were computed from.
    fn gradients_of(&mut self, batch: &Batch, totals: &mut Totals) -> Result<(f64, BTreeMap<String, Tensor>)> {
        let samples = batch.indices.len();
        let piece = self.micro_batch.unwrap_or(samples);
        if piece >= samples {
            return self.gradients_of_piece(batch, 0, samples, totals);
        }
        let (mut mean, mut sums) = (0.0, BTreeMap::<String, Tensor>::new());
        for first in (0..samples).step_by(piece) {
            let count = piece.min(samples - first);
            let (loss, grads) = self.gradients_of_piece(batch, first, count, totals)?;
            mean += loss * (count as f64 / samples as f64);
            for (name, grad) in grads {
                let sum = sums.remove(&name).map_or_else(|| Ok(grad.clone()), |sum| sum + &grad)?;
                sums.insert(name, sum);
            }
        }
        Ok((mean, sums))
    }

    /// The mean loss of `count` samples of the batch from `first` on, and what they add to the gradients of the batch's.
    fn gradients_of_piece(
        &mut self,
        batch: &Batch,
        first: usize,
        count: usize,
        totals: &mut Totals,
    ) -> Result<(f64, BTreeMap<String, Tensor>)> {
        let (device, samples) = (self.device(), batch.indices.len());
        let piece = |tensor: &Tensor| match count == samples {
            true => tensor.to_device(&device),
            false => tensor.narrow(0, first, count)?.to_device(&device),
        };
        let (inputs, targets) = (piece(&batch.inputs)?, piece(&batch.targets)?);
        let mode = Mode::train(self.seed, u32_of("steps", self.position.step)?, first as u64);
        let logits = (self.forward)(&inputs, &mode)?;
        let loss = (self.loss)(&logits, &targets)?;
        let value = self.finite("loss", scalar(&loss)?)?;
        totals.add(value, &logits, &targets)?;
        let loss = if count == samples { loss } else { (loss * (count as f64 / samples as f64))? };
        Ok((value, gradients(&loss, &self.trainable)?))
    }

    fn step_vars(&mut self, mut grads: BTreeMap<String, Tensor>) -> Result<Rates> {
        if grads.is_empty() {
            let value = format!("no gradient for any of {:?}", self.trainable.keys().collect::<Vec<_>>());
            let expected = "a function of at least one variable";
            return Err(Error::Value { op: "Trainer", argument: "loss", expected, value });
        }
        if let Some(max) = self.clip_value {
            grads.values_mut().try_for_each(|grad| hardtanh(grad, -max, max).map(|clipped| *grad = clipped))?;
        }
        let scale = match self.clip_norm {
            Some(max_norm) => clip_scale(self.finite("gradients' norm", global_norm(grads.values())?)?, max_norm),
            None => 1.0,
        };
        let rates = self.rates(self.position.step);
        self.optimizer.step(&self.vars, &grads, rates, scale)?;
        Ok(rates)
    }

    fn finite(&self, what: &'static str, value: f64) -> Result<f64> {
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::NotFinite { what, value, epoch: self.position.epoch + 1, step: self.position.step + 1 })
    }
}

/// A count as the generator's counter holds it.
pub(super) fn u32_of(what: &'static str, count: usize) -> Result<u32> {
    let value = || Error::Value { op: "fit", argument: what, expected: "fewer than 2³²", value: count.to_string() };
    u32::try_from(count).map_err(|_| value())
}
