//! Epoch after epoch.

use super::mixed_precision::ScaleState;
use super::resume::Found;
use super::step::u32_of;
use super::{Trainer, not_empty};
use crate::data::Loader;
use crate::metrics::Totals;
use crate::{Checkpoints, EpochRecord, Error, FitStart, History, Observer, Rates, Result};
use candle_core::Var;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The optimiser steps that are done.
    pub(crate) step: usize,
    /// The epochs that are done.
    pub(crate) epoch: usize,
    /// The batches of the next epoch that are done.
    pub(crate) batch: usize,
    /// The sums over those batches.
    pub(crate) totals: Totals,
    pub(crate) history: History,
    /// Where the loss scale has come to, where it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_scale: Option<ScaleState>,
}

/// What a fit goes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'d> {
    pub(super) train: &'d Loader,
    pub(super) val: Option<&'d Loader>,
}

impl Trainer<'_> {
    /// Trains until all epochs are done, or [`early_stopping`](Trainer::early_stopping) ends it, and returns what became of each
    /// epoch. Where a validation set is given, it is evaluated at the end of each.
    ///
    /// A second fit goes on from where the first one stopped.
    ///
    /// # Errors
    /// When a number is out of range, the data, the forward, the loss or an observer fails, the loss
    /// is no longer finite, a checkpoint cannot be written, the configuration is not that of the checkpoint to resume, or it
    /// was asked to stop: [`Error::Stopped`].
    pub fn fit(&mut self, train: &Loader, val: Option<&Loader>) -> Result<History> {
        let history = self.fit_on(train, val);
        // All processes of a group stop together, and may go on together; of another failure the others do not know.
        if history.as_ref().is_err_and(|error| !matches!(error, Error::Stopped { .. })) {
            self.leave();
        }
        history
    }

    fn fit_on(&mut self, train: &Loader, val: Option<&Loader>) -> Result<History> {
        let (train, val) = self.debug.loaders(train, val)?;
        let data = Data { train: &train, val: val.as_ref() };
        data.val.map_or(Ok(()), |val| not_empty("fit", val))?;
        self.prepare(data.train)?;
        self.check_monitors(data.val.is_some())?;
        if !self.debug.is_trial() {
            return self.fit_epochs(data);
        }
        let (checkpoints, epochs) = (self.checkpoints.take(), std::mem::replace(&mut self.epochs, 1));
        let history = self.fit_epochs(data);
        (self.checkpoints, self.epochs) = (checkpoints, epochs);
        history
    }

    fn fit_epochs(&mut self, data: Data<'_>) -> Result<History> {
        let found = self.restore(data)?;
        self.agree(data)?;
        if !self.is_done() {
            self.validate_sanity(data.val)?;
        }
        let (position, batches_per_epoch) = (self.position.clone(), data.train.batches_per_epoch());
        let configuration = self.configuration(data);
        let start = FitStart {
            configuration: &configuration,
            epochs: self.epochs,
            batches_per_epoch,
            epoch: position.epoch,
            batch: position.batch,
            step: position.step,
            history: &position.history,
            resume: found.as_ref().map(Found::as_resume),
        };
        self.notify(|observer| observer.on_fit_start(&start))?;
        while !self.is_done() {
            self.fit_epoch(data)?;
        }
        let history = self.position.history.clone();
        self.notify(|observer| observer.on_fit_end(&history))?;
        Ok(history)
    }

    /// Trains what is left of the epoch, and closes it.
    fn fit_epoch(&mut self, data: Data<'_>) -> Result<()> {
        let Data { train, val } = data;
        let mut lr = self.rates(self.position.step.saturating_sub(1)).lr;
        for batch in train.epoch(u32_of("epochs", self.position.epoch)?, self.position.batch) {
            let end = self.train_step(&batch?)?;
            lr = end.lr;
            self.notify(|observer| observer.on_step(&end))?;
            // The step that ends an epoch is saved with the epoch's end.
            let stop = self.asked_to_stop();
            let due = self.position.batch < train.batches_per_epoch() && self.saves(|it| it.due_at_step(end.step));
            self.save_or_stop(data, due, stop)?;
        }
        let evaluation = val.map(|val| self.evaluate(val)).transpose()?;
        let val = evaluation.as_ref().map(|evaluation| evaluation.overall);
        let metrics = evaluation.map(|evaluation| evaluation.metrics).unwrap_or_default();
        let train_metrics = self.position.totals.metrics();
        let Position { step, epoch, .. } = self.position;
        let record = EpochRecord { epoch: epoch + 1, step, lr, train: train_metrics, val, metrics };
        let mut history = std::mem::take(&mut self.position.history);
        history.epochs.push(record.clone());
        let loss_scale = self.position.loss_scale;
        self.position = Position { step, epoch: epoch + 1, history, loss_scale, ..Position::default() };

        let history = self.position.history.clone();
        self.notify(|observer| observer.on_epoch_end(&record, &history))?;
        let last = self.is_done();
        // What is done need not be stopped.
        let stop = !last && self.asked_to_stop();
        let due = self.saves(|it| it.due_at_epoch(&history) || it.due_at_step(step) || last);
        self.save_or_stop(data, due, stop)
    }

    fn is_done(&self) -> bool {
        let Position { epoch, history, .. } = &self.position;
        let stops = self.early_stopping.as_ref().is_some_and(|stopping| stopping.stops_after(&history.epochs));
        *epoch >= self.epochs || stops
    }

    /// Refuses to look at metrics that are not computed.
    fn check_monitors(&self, validates: bool) -> Result<()> {
        let names = self.metric_names()?;
        let names = if validates { &names[..] } else { &[] };
        let monitors = self.schedule.iter().flat_map(|schedule| schedule.monitors());
        monitors.into_iter().try_for_each(|monitor| monitor.check("schedule", names))?;
        self.early_stopping.as_ref().map_or(Ok(()), |stopping| stopping.check(names))?;
        self.checkpoints.as_ref().map_or(Ok(()), |checkpoints| checkpoints.check(names))
    }

    /// Refuses what makes no run, before its first step.
    pub(super) fn prepare(&mut self, train: &Loader) -> Result<()> {
        let op = "fit";
        not_empty(op, train)?;
        u32_of("epochs", self.epochs)?;
        self.optimizer.validate(&self.vars)?;
        self.schedule.as_ref().map_or(Ok(()), |schedule| schedule.validate())?;
        self.ema.as_ref().map_or(Ok(()), |ema| ema.validate())?;
        for (argument, limit) in [("clip_value", self.clip_value), ("clip_norm", self.clip_norm)] {
            if let Some(limit) = limit.filter(|limit| limit.is_nan() || *limit <= 0.0) {
                return Err(Error::Value { op, argument, expected: "positive", value: limit.to_string() });
            }
        }
        if self.micro_batch == Some(0) {
            return Err(Error::Value { op, argument: "micro_batch", expected: "at least 1", value: "0".to_owned() });
        }
        self.frozen.iter().try_for_each(|pattern| pattern.check("freeze", &self.vars))?;
        self.trainable = self.unfrozen();
        if self.trainable.is_empty() {
            let (argument, expected) = ("patterns", "such that a variable remains to be trained");
            return Err(Error::Value { op: "freeze", argument, expected, value: format!("{:?}", self.frozen) });
        }
        self.prepare_masters()?;
        // What was frozen since the last fit has no average any more: it stays as it is, and its average would not follow.
        if let Some(ema) = &mut self.ema {
            ema.values.retain(|name, _| self.trainable.contains_key(name));
        }
        Ok(())
    }

    pub(super) fn unfrozen(&self) -> BTreeMap<String, Var> {
        let frozen = |name: &String| self.frozen.iter().any(|pattern| pattern.matches(name));
        // A tied variable is frozen under all of its names by any of them.
        let ids: HashSet<_> = self.vars.iter().filter(|(name, _)| frozen(name)).map(|(_, var)| var.id()).collect();
        let trainable = self.vars.iter().filter(|(_, var)| !ids.contains(&var.id()));
        trainable.map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// The rates of optimiser step `step`, counted from 0.
    pub(super) fn rates(&self, step: usize) -> Rates {
        self.schedule.as_ref().map_or_else(
            || Rates::constant(self.optimizer.lr()),
            |schedule| schedule.rates(step, &self.position.history.epochs),
        )
    }

    /// Writes a checkpoint where one is due, and to go on from where the fit was asked to stop, which it then does.
    fn save_or_stop(&mut self, data: Data<'_>, due: bool, stop: bool) -> Result<()> {
        let checkpoint = if due || stop && self.leads() { self.save(data)? } else { None };
        if stop { Err(Error::Stopped { step: self.position.step, checkpoint }) } else { Ok(()) }
    }

    fn saves(&self, due: impl FnOnce(&Checkpoints) -> bool) -> bool {
        self.leads() && self.checkpoints.as_ref().is_some_and(due)
    }

    pub(super) fn notify(&mut self, mut tell: impl FnMut(&mut (dyn Observer + '_)) -> Result<()>) -> Result<()> {
        if !self.leads() {
            return Ok(());
        }
        let trial = self.debug.is_trial();
        let mut told = self.observers.iter_mut().filter(|observer| !(trial && observer.leaves_files()));
        told.try_for_each(|observer| tell(&mut **observer))
    }
}
