//! One optimiser step.

use super::anomaly::Pass;
use super::{Trainer, not_empty, scalar};
use crate::data::{Batch, Loader};
use crate::metrics::Totals;
use crate::optim::{clip_scale, gradients};
use crate::{Error, Rates, Result, StepEnd};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;
use taper_ops::optim::global_norm;
use taper_ops::{Mode, hardtanh};

impl Trainer<'_> {
    /// Forward, loss, gradients and step on one batch, counted into the position.
    pub(super) fn train_step(&mut self, batch: &Batch) -> Result<StepEnd> {
        // A step that fails counts for nothing, since another fit takes it again.
        let mut totals = self.position.totals;
        let (loss, grads) = self.gradients_of(batch, &mut totals)?;
        let (rates, taken) = self.step_vars(grads)?;
        self.check_stepped()?;
        self.average_buffers()?;
        let averaged = if taken && self.ema.is_some() { self.optimized_trainable() } else { BTreeMap::new() };
        if let Some(ema) = &mut self.ema {
            ema.update(&averaged, self.position.step)?;
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

    /// The mean loss of the batch and its gradients, of all processes that take it, and in pieces where that was asked for. The
    /// graph and its activations are gone by the end, before the optimiser writes into what they were computed from.
    pub(super) fn gradients_of(
        &mut self,
        batch: &Batch,
        totals: &mut Totals,
    ) -> Result<(f64, BTreeMap<String, Tensor>)> {
        let samples = batch.indices.len();
        let (mut mean, mut sums) = (0.0, BTreeMap::<String, Tensor>::new());
        let mut own = Totals::default();
        for piece in self.pieces(self.share(samples)) {
            let share = piece.len() as f64 / samples as f64;
            let totals = if self.data_parallel.is_some() { &mut own } else { &mut *totals };
            let (loss, grads) = self.gradients_of_part(batch, piece, share, totals)?;
            mean += loss * share;
            for (name, grad) in grads {
                let sum = sums.remove(&name).map_or_else(|| Ok(grad.clone()), |sum| sum + &grad)?;
                sums.insert(name, sum);
            }
        }
        self.exchange(mean, sums, &own, totals)
    }

    /// The mean loss of a part of the batch, and what it adds to the gradients of the batch's, of which it is `share`.
    fn gradients_of_part(
        &mut self,
        batch: &Batch,
        part: Range<usize>,
        share: f64,
        totals: &mut Totals,
    ) -> Result<(f64, BTreeMap<String, Tensor>)> {
        let (inputs, targets) = self.part(batch, part.clone())?;
        let (logits, loss) = self.forward_and_loss(&inputs, &targets, part.start)?;
        let pass = Pass { inputs: &inputs, first: part.start, samples: &batch.indices[part] };
        self.check_pass(&pass, &logits, &loss)?;
        let value = self.finite("loss", scalar(&loss)?)?;
        totals.add(value, &logits, &targets)?;
        let loss = match self.loss_scale() {
            Some(scale) => (loss.to_dtype(DType::F32)? * (share * scale))?,
            None if share < 1.0 => (loss * share)?,
            None => loss,
        };
        let mut grads = gradients(&loss, &self.trainable)?;
        self.unscale(&mut grads)?;
        self.check_gradients_of(&pass, &grads)?;
        Ok((value, grads))
    }

    /// The parts in which samples of a batch are taken.
    pub(super) fn pieces(&self, samples: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let piece = self.micro_batch.unwrap_or(samples.len()).max(1);
        samples.clone().step_by(piece).map(move |first| first..samples.end.min(first.saturating_add(piece)))
    }

    /// The inputs and targets of a part of the batch.
    pub(super) fn part(&self, batch: &Batch, part: Range<usize>) -> Result<(Tensor, Tensor)> {
        let device = self.device();
        let of = |tensor: &Tensor| match part.len() == batch.indices.len() {
            true => tensor.to_device(&device),
            false => tensor.narrow(0, part.start, part.len())?.to_device(&device),
        };
        Ok((of(&batch.inputs)?, of(&batch.targets)?))
    }

    /// The forward's output and the loss, for the samples from `first` on of the step's batch.
    pub(super) fn forward_and_loss(&self, inputs: &Tensor, targets: &Tensor, first: usize) -> Result<(Tensor, Tensor)> {
        let logits = (self.forward)(inputs, &self.training_mode(first)?)?;
        let loss = (self.loss)(&logits, targets)?;
        Ok((logits, loss))
    }

    /// What the forward of the next step draws from, for the samples from `first` on of the step's batch.
    pub(super) fn training_mode(&self, first: usize) -> Result<Mode> {
        Ok(Mode::train(self.seed, u32_of("steps", self.position.step)?, first as u64))
    }

    /// The first batch of the first epoch.
    pub(super) fn first_batch(train: &Loader) -> Result<Batch> {
        not_empty("Trainer", train)?;
        train.clone().workers(0).epoch(0, 0).next().unwrap_or(Err(Error::WorkerLost { batch: 0 }))
    }

    /// The rates of the step, and whether it was taken: one whose gradients overflow under a moving loss scale is not.
    pub(super) fn step_vars(&mut self, mut grads: BTreeMap<String, Tensor>) -> Result<(Rates, bool)> {
        if grads.is_empty() {
            let value = format!("no gradient for any of {:?}", self.trainable.keys().collect::<Vec<_>>());
            let expected = "a function of at least one variable";
            return Err(Error::Value { op: "Trainer", argument: "loss", expected, value });
        }
        let rates = self.rates(self.position.step);
        if self.moves_loss_scale() && !self.adapt_loss_scale(global_norm(grads.values())?)? {
            return Ok((rates, false));
        }
        if let Some(max) = self.clip_value {
            grads.values_mut().try_for_each(|grad| hardtanh(grad, -max, max).map(|clipped| *grad = clipped))?;
        }
        let scale = match self.clip_norm {
            Some(max_norm) => clip_scale(self.finite("gradients' norm", global_norm(grads.values())?)?, max_norm),
            None => 1.0,
        };
        self.optimizer.step(&self.optimized, &grads, rates, scale)?;
        self.round_masters()?;
        Ok((rates, true))
    }

    pub(super) fn finite(&self, what: &'static str, value: f64) -> Result<f64> {
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
