//! Writing checkpoints, and going on from one.

use super::Trainer;
use super::ema::set_all;
use super::fit::Data;
use crate::checkpoint::{Checkpoint, Search};
use crate::data::Loader;
use crate::optim::describe;
use crate::{EpochRecord, Error, Observer, Result, Resume, SkippedCheckpoint};
use candle_core::{Tensor, Var};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What was found where a fit was asked to resume.
pub(super) struct Found {
    folder: PathBuf,
    from: Option<PathBuf>,
    skipped: Vec<SkippedCheckpoint>,
}

impl Found {
    pub(super) fn as_resume(&self) -> Resume<'_> {
        Resume { folder: &self.folder, from: self.from.as_deref(), skipped: &self.skipped }
    }
}

impl Trainer<'_> {
    /// Takes over the newest whole checkpoint, where one was asked for and is there.
    pub(super) fn restore(&mut self, data: Data<'_>) -> Result<Option<Found>> {
        let leads = self.leads();
        if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| leads) {
            checkpoints.prepare()?;
        }
        self.meet()?;
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(None);
        };
        // A second fit of one trainer goes on from memory.
        if !self.resume || self.position.step > 0 {
            return Ok(None);
        }
        let folder = checkpoints.folder().to_owned();
        let Search { newest, skipped } = checkpoints.search()?;
        let Some((path, checkpoint)) = newest else {
            return Ok(Some(Found { folder, from: None, skipped }));
        };
        self.take_over(&path, checkpoint, data)?;
        Ok(Some(Found { folder, from: Some(path), skipped }))
    }

    fn take_over(&mut self, path: &Path, checkpoint: Checkpoint, data: Data<'_>) -> Result<()> {
        let differences = differences(&checkpoint.configuration, &self.configuration(data));
        if !differences.is_empty() {
            return Err(Error::ConfigurationChanged { path: path.to_owned(), differences: differences.join("; ") });
        }
        self.check_metrics(path, &checkpoint, data)?;
        // All that can be refused is refused before anything is changed.
        let averages = self.fitting_averages(path, &checkpoint)?;
        let Checkpoint { position, parameters, buffers, optimizer, masters, .. } = checkpoint;
        self.optimizer.load_state(&self.optimized, &optimizer).map_err(|error| match error {
            Error::OptimizerState { .. } => Error::Checkpoint { path: path.to_owned(), reason: error.to_string() },
            other => other,
        })?;
        self.set_weights(&parameters, &buffers, averages)?;
        self.set_masters(&masters)?;
        self.position = position;
        Ok(())
    }

    /// The checkpoint's averages as variables, if all of its variables are those of this trainer.
    pub(super) fn fitting_averages(&self, path: &Path, checkpoint: &Checkpoint) -> Result<BTreeMap<String, Var>> {
        let Checkpoint { parameters, buffers, averages, masters, .. } = checkpoint;
        // As long as every step has overflowed there is nothing to average.
        let none_yet = self.moves_loss_scale() && averages.is_empty();
        let averaged = &if self.ema.is_some() && !none_yet { self.optimized_trainable() } else { BTreeMap::new() };
        let none = BTreeMap::new();
        let mastered = self.mixed_precision.as_ref().map_or(&none, |mixed| &mixed.masters);
        let groups = [(&self.vars, parameters), (&self.buffers, buffers), (averaged, averages), (mastered, masters)];
        for (vars, tensors) in groups {
            for (name, var) in vars {
                let fits = |it: &Tensor| it.dims() == var.dims() && it.dtype() == var.dtype();
                if !tensors.get(name).is_some_and(fits) {
                    let reason = format!("it does not hold {name}");
                    return Err(Error::Checkpoint { path: path.to_owned(), reason });
                }
            }
        }
        let average = |(name, var): (&String, &Var)| {
            Ok((name.clone(), Var::from_tensor(&averages[name].to_device(var.device())?.copy()?)?))
        };
        averaged.iter().map(average).collect()
    }

    pub(super) fn set_weights(
        &mut self,
        parameters: &BTreeMap<String, Tensor>,
        buffers: &BTreeMap<String, Tensor>,
        averages: BTreeMap<String, Var>,
    ) -> Result<()> {
        set_all(&self.vars, parameters)?;
        set_all(&self.buffers, buffers)?;
        if let Some(ema) = &mut self.ema {
            ema.values = averages;
        }
        Ok(())
    }

    /// Writes a checkpoint of where the run stands, where there are any; its path.
    pub(super) fn save(&mut self, data: Data<'_>) -> Result<Option<PathBuf>> {
        let tensors = |vars: &BTreeMap<String, Var>| -> BTreeMap<String, Tensor> {
            vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect()
        };
        let checkpoint = Checkpoint {
            configuration: self.configuration(data),
            position: self.position.clone(),
            parameters: tensors(&self.vars),
            buffers: tensors(&self.buffers),
            averages: self.ema.as_ref().map(|ema| tensors(&ema.values)).unwrap_or_default(),
            optimizer: self.optimizer.state()?,
            masters: self.masters()?,
        };
        let Some(checkpoints) = &mut self.checkpoints else {
            return Ok(None);
        };
        let path = checkpoints.save(&checkpoint)?;
        self.notify(|observer: &mut (dyn Observer + '_)| observer.on_checkpoint(&path))?;
        Ok(Some(path))
    }

    /// What decides the bits of the run, by name, in words.
    pub(super) fn configuration(&self, Data { train, val }: Data<'_>) -> BTreeMap<String, String> {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        let entries = [
            ("seed", self.seed.to_string()),
            ("optimizer", self.optimizer.configuration()),
            ("schedule", or_none(self.schedule.as_ref().map(|schedule| format!("{schedule:?}")))),
            ("frozen", format!("{:?}", self.frozen)),
            ("clip_value", or_none(self.clip_value.map(|value| value.to_string()))),
            ("clip_norm", or_none(self.clip_norm.map(|norm| norm.to_string()))),
            ("micro_batch", or_none(self.micro_batch.map(|samples| samples.to_string()))),
            ("metrics", self.metrics_in_words()),
            ("ema", or_none(self.ema.as_ref().map(|ema| format!("{:?}", ema.config)))),
        ];
        let mut configuration: BTreeMap<String, String> =
            entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(mixed) = &self.mixed_precision {
            configuration.insert("mixed_precision".to_owned(), format!("{:?}", mixed.config));
        }
        if let Some(processes) = self.processes() {
            configuration.insert("processes".to_owned(), processes.to_string());
        }
        let mut extend = |set: &str, loader: &Loader| {
            configuration.extend(loader.configuration().map(|(name, value)| (format!("{set} {name}"), value)));
        };
        extend("loader", train);
        // Schedules look at what validation comes to, and the history tells of it.
        if let Some(val) = val {
            extend("validation", val);
        }
        configuration.extend(self.vars.iter().map(|(name, var)| (format!("parameter {name}"), describe(var))));
        configuration.extend(self.buffers.iter().map(|(name, var)| (format!("buffer {name}"), describe(var))));
        configuration
    }

    /// Refuses a history without the very metrics that this fit computes, which the configuration promises.
    fn check_metrics(&self, path: &Path, checkpoint: &Checkpoint, data: Data<'_>) -> Result<()> {
        let names = if data.val.is_some() { self.metric_names()? } else { Vec::new() };
        let names: BTreeSet<String> = names.into_iter().collect();
        let other = |record: &&EpochRecord| !record.metrics.keys().eq(&names);
        checkpoint.position.history.epochs.iter().find(other).map_or(Ok(()), |record| {
            let found: Vec<_> = record.metrics.keys().collect();
            let reason = format!("epoch {} has the metrics {found:?} and not {names:?}", record.epoch);
            Err(Error::Checkpoint { path: path.to_owned(), reason })
        })
    }

    fn metrics_in_words(&self) -> String {
        let mut metrics = self.metrics.borrow_mut();
        metrics.iter_mut().for_each(|metric| metric.reset());
        format!("{metrics:?}")
    }
}

/// What differs between two configurations, an entry in words each.
fn differences(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let value = |configuration: &BTreeMap<String, String>, name| {
        configuration.get(name).cloned().unwrap_or_else(|| "absent".to_owned())
    };
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| then.get(*name) != now.get(*name));
    changed.map(|name| format!("{name} was {} and is {}", value(then, name), value(now, name))).collect()
}
