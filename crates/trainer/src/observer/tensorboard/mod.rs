//! Event files for TensorBoard.

mod event;
mod histogram;
mod record;

use self::event::Event;
use self::record::Records;
use super::{FitStart, Observer, StepEnd};
use crate::file::prepare_folder;
use crate::{EpochRecord, Error, History, Result};
use candle_core::{DType, Var};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Writes what TensorBoard shows, over the optimiser steps: `tensorboard --logdir runs`.
///
/// | tag | what it is | when |
/// |---|---|---|
/// | `loss/step`, `lr` | the loss of the batch, before the step, and the step's learning rate | each step |
/// | `loss/train`, `accuracy/train` | the means over the epoch's batches | each epoch |
/// | `loss/val`, `accuracy/val` | those of the validation set, where there is one | each epoch |
/// | `metrics/<name>` | the further metrics of the validation set | each epoch |
/// | `weights/<name>` | the distribution of a variable's elements, where [`histograms`](Self::histograms) asks for it | each epoch |
///
/// TensorBoard's numbers are of 32 bits; what is undefined is left out.
///
/// Each fit appends a file to the folder, an event at a time, so a killed run leaves all that it told. A fit that resumes marks
/// its file as a restart at its first step, on which TensorBoard forgets what the steps from there on had come to before: no
/// step is seen twice. A fit that starts anew makes it forget the fits before it in that folder; give each run a folder of its
/// own to compare them.
///
/// ```
/// use taper_trainer::TensorBoard;
///
/// let board = TensorBoard::new("runs/mnist/tensorboard").every_steps(10).text("notes", "the **first** try");
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    every_steps: usize,
    vars: BTreeMap<String, Var>,
    texts: Vec<(String, String)>,
    /// The fit's file, from its start on.
    records: Option<Records>,
}

impl TensorBoard {
    /// Event files in `folder`, which is created.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (vars, texts) = (BTreeMap::new(), Vec::new());
        Self { folder: folder.into(), every_steps: 1, vars, texts, records: None }
    }

    /// Tells of every `steps`-th optimiser step, instead of each; 0 leaves the epochs alone.
    pub fn every_steps(mut self, steps: usize) -> Self {
        self.every_steps = steps;
        self
    }

    /// Tells at each epoch's end how the elements of `vars` are distributed; those that are not finite are left out.
    pub fn histograms(mut self, vars: BTreeMap<String, Var>) -> Self {
        self.vars = vars;
        self
    }

    /// Tells `markdown` under `tag` once, at the start.
    pub fn text(mut self, tag: impl Into<String>, markdown: impl Into<String>) -> Self {
        self.texts.push((tag.into(), markdown.into()));
        self
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let (folder, records) = (&self.folder, self.records.as_mut());
        let written = records.map_or(Ok(()), |records| records.write(&event.into_bytes()));
        written.map_err(|source| Error::Io { action: "write to", path: folder.clone(), source })
    }
}

impl Observer for TensorBoard {
    fn leaves_files(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        prepare_folder(&self.folder)?;
        let created = Records::create(&self.folder);
        self.records =
            Some(created.map_err(|source| Error::Io { action: "write to", path: self.folder.clone(), source })?);
        self.write(Event::version())?;
        let first_step = if start.step == 0 { 0 } else { start.step + 1 };
        self.write(Event::restart(first_step))?;
        if start.step == 0 {
            for (tag, markdown) in self.texts.clone() {
                self.write(Event::summary(0).text(&tag, &markdown))?;
            }
        }
        Ok(())
    }

    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if self.every_steps == 0 || !step.step.is_multiple_of(self.every_steps) {
            return Ok(());
        }
        self.write(Event::summary(step.step).scalar("loss/step", step.loss).scalar("lr", step.lr))
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, _: &History) -> Result<()> {
        let mut event = Event::summary(record.step);
        for (part, means) in [("train", Some(record.train)), ("val", record.val)] {
            let Some(means) = means else { continue };
            event = event.scalar(&format!("loss/{part}"), means.loss);
            if let Some(accuracy) = means.accuracy {
                event = event.scalar(&format!("accuracy/{part}"), accuracy);
            }
        }
        for (name, value) in &record.metrics {
            if let Some(value) = value {
                event = event.scalar(&format!("metrics/{name}"), *value);
            }
        }
        for (name, var) in &self.vars {
            let values: Vec<f64> = var.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
            if let Some(histogram) = histogram::of(&values) {
                event = event.histogram(&format!("weights/{name}"), &histogram);
            }
        }
        self.write(event)
    }
}
