//! Observers: what watches a fit and tells of it.

mod csv;
mod html;
mod json_lines;
mod progress;
mod tensorboard;

pub use csv::CsvLog;
pub use html::HtmlReport;
pub use json_lines::JsonLines;
pub use progress::Progress;
pub use tensorboard::TensorBoard;

use crate::{EpochRecord, History, Metrics, Result, SkippedCheckpoint};
use std::collections::BTreeMap;
use std::path::Path;

/// Watches a fit. Each method does nothing unless it is implemented; an error ends the fit.
pub trait Observer {
    /// Whether it leaves files behind, in which case a [`fast_dev_run`](crate::Trainer::fast_dev_run) tells it nothing.
    fn leaves_files(&self) -> bool {
        false
    }

    /// Before the first step.
    ///
    /// # Errors
    /// When the observer cannot do its work; the fit then does not start.
    fn on_fit_start(&mut self, _: &FitStart<'_>) -> Result<()> {
        Ok(())
    }

    /// After each optimiser step.
    ///
    /// # Errors
    /// When the observer cannot do its work.
    fn on_step(&mut self, _: &StepEnd) -> Result<()> {
        Ok(())
    }

    /// After each epoch and its validation.
    ///
    /// # Errors
    /// When the observer cannot do its work.
    fn on_epoch_end(&mut self, _: &EpochRecord, _: &History) -> Result<()> {
        Ok(())
    }

    /// After a checkpoint has been written.
    ///
    /// # Errors
    /// When the observer cannot do its work.
    fn on_checkpoint(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    /// After the last step.
    ///
    /// # Errors
    /// When the observer cannot do its work.
    fn on_fit_end(&mut self, _: &History) -> Result<()> {
        Ok(())
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn leaves_files(&self) -> bool {
        (**self).leaves_files()
    }

    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        (**self).on_fit_start(start)
    }

    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        (**self).on_step(step)
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, history: &History) -> Result<()> {
        (**self).on_epoch_end(record, history)
    }

    fn on_checkpoint(&mut self, path: &Path) -> Result<()> {
        (**self).on_checkpoint(path)
    }

    fn on_fit_end(&mut self, history: &History) -> Result<()> {
        (**self).on_fit_end(history)
    }
}

/// How a fit starts.
#[derive(Debug, Clone, Copy)]
pub struct FitStart<'a> {
    /// What decides the bits of the run, by name, in words: seed, optimiser, schedule, data, transforms, variables.
    pub configuration: &'a BTreeMap<String, String>,
    /// The epochs to be reached, counted from the first of the run.
    pub epochs: usize,
    /// The optimiser steps of an epoch.
    pub batches_per_epoch: usize,
    /// The epochs that are done.
    pub epoch: usize,
    /// The batches of the next epoch that are done.
    pub batch: usize,
    /// The optimiser steps that are done.
    pub step: usize,
    /// What became of the epochs that are done.
    pub history: &'a History,
    /// The checkpoints it was asked to resume from.
    pub resume: Option<Resume<'a>>,
}

/// What a fit that was asked to resume has found.
#[derive(Debug, Clone, Copy)]
pub struct Resume<'a> {
    /// The folder of the checkpoints.
    pub folder: &'a Path,
    /// The checkpoint it goes on from; without one it starts anew.
    pub from: Option<&'a Path>,
    /// The files that were passed over.
    pub skipped: &'a [SkippedCheckpoint],
}

/// What became of one optimiser step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEnd {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The batches of the epoch that are done.
    pub batch: usize,
    /// The optimiser steps that are done.
    pub step: usize,
    /// The learning rate of the step.
    pub lr: f64,
    /// The loss of the batch, before the step.
    pub loss: f64,
    /// The samples of the batch.
    pub samples: usize,
    /// The metrics of the epoch so far.
    pub running: Metrics,
}
