//! Checkpoints: where they lie, which of them are kept, and which is the newest whole one.

mod format;

use crate::file::{TEMPORARY, prepare_folder, write_atomic};
use crate::trainer::Position;
use crate::{EpochRecord, Error, History, Monitor, Result};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// When checkpoints are written, where to, and how many are kept.
///
/// A checkpoint is one file, `step-00001234.safetensors`. It is written beside its place, brought to the disk and renamed,
/// so that a crash leaves the former ones and never half of one. The last step of a fit always writes one. A fit that
/// starts anew takes the folder over: its first checkpoint replaces those of the run before.
///
/// The last few are kept to go on from. Beside them the one of the best epoch can be kept, which
/// [`Trainer::load_best`](crate::Trainer::load_best) goes back to, and those of every few epochs. Which these are follows from the
/// history that each checkpoint holds, so a resumed run keeps the same ones.
///
/// ```
/// use taper_trainer::{Checkpoints, Monitor};
///
/// let checkpoints = Checkpoints::new("runs/mnist/checkpoints").every_steps(200).keep_last(2).keep_best(Monitor::Accuracy);
/// ```
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    every_epoch: bool,
    every_steps: Option<usize>,
    keep_last: usize,
    keep_best: Option<Monitor>,
    keep_every: Option<usize>,
    /// The steps of this run's checkpoints that are there.
    saved: BTreeSet<usize>,
}

/// A file that is no whole checkpoint, and that a resumed fit passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedCheckpoint {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What a folder of checkpoints holds to resume from.
pub(crate) struct Search {
    /// The newest whole checkpoint, with its path.
    pub(crate) newest: Option<(PathBuf, Checkpoint)>,
    /// The files that were passed over.
    pub(crate) skipped: Vec<SkippedCheckpoint>,
}

/// All that a run needs to go on as if it had never stopped.
pub(crate) struct Checkpoint {
    /// What must be the same in the run that resumes, by name.
    pub(crate) configuration: BTreeMap<String, String>,
    pub(crate) position: Position,
    pub(crate) parameters: BTreeMap<String, Tensor>,
    pub(crate) buffers: BTreeMap<String, Tensor>,
    /// The averages of the parameters, where they are kept.
    pub(crate) averages: BTreeMap<String, Tensor>,
    pub(crate) optimizer: BTreeMap<String, Tensor>,
    /// The float32 weights of parameters of half precision.
    pub(crate) masters: BTreeMap<String, Tensor>,
}

impl Checkpoints {
    /// A checkpoint at the end of each epoch, of which the last three are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            every_epoch: true,
            every_steps: None,
            keep_last: 3,
            keep_best: None,
            keep_every: None,
            saved: BTreeSet::new(),
        }
    }

    /// Whether the end of each epoch writes one; `true` by default.
    pub fn every_epoch(mut self, every_epoch: bool) -> Self {
        self.every_epoch = every_epoch;
        self
    }

    /// Writes one every `steps` optimiser steps too; 0 turns that off.
    pub fn every_steps(mut self, steps: usize) -> Self {
        self.every_steps = (steps > 0).then_some(steps);
        self
    }

    /// How many of the newest are kept, at least one; 3 by default.
    pub fn keep_last(mut self, count: usize) -> Self {
        self.keep_last = count.max(1);
        self
    }

    /// Keeps that of the best epoch by `monitor` too, however long ago it was; of equal ones the first. The end of an epoch that
    /// is the best so far always writes one.
    pub fn keep_best(mut self, monitor: Monitor) -> Self {
        self.keep_best = Some(monitor);
        self
    }

    /// Keeps that of every `epochs`-th epoch too, the end of which always writes one; 0 turns that off.
    pub fn keep_every(mut self, epochs: usize) -> Self {
        self.keep_every = (epochs > 0).then_some(epochs);
        self
    }

    /// The folder they lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn prepare(&self) -> Result<()> {
        prepare_folder(&self.folder)
    }

    pub(crate) fn due_at_step(&self, step: usize) -> bool {
        self.every_steps.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Whether the end of the history's last epoch writes one.
    pub(crate) fn due_at_epoch(&self, history: &History) -> bool {
        self.every_epoch || history.last().is_some_and(|last| self.kept(history).contains(&last.step))
    }

    pub(crate) fn best(&self) -> Option<&Monitor> {
        self.keep_best.as_ref()
    }

    pub(crate) fn check(&self, names: &[String]) -> Result<()> {
        self.keep_best.as_ref().map_or(Ok(()), |monitor| monitor.check("keep_best", names))
    }

    /// The steps whose checkpoints are kept however old they are.
    fn kept(&self, History { epochs }: &History) -> BTreeSet<usize> {
        let best = self.keep_best.as_ref().and_then(|monitor| monitor.best(epochs));
        let every = |epoch: &&EpochRecord| self.keep_every.is_some_and(|every| epoch.epoch.is_multiple_of(every));
        epochs.iter().filter(every).chain(best).map(|epoch| epoch.step).collect()
    }

    /// Writes `checkpoint` and removes what is no longer kept; the path of the new file.
    pub(crate) fn save(&mut self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let step = checkpoint.position.step;
        let path = self.path(step);
        write_atomic(&path, &format::encode(checkpoint)?)?;
        self.saved.insert(step);
        let kept = self.kept(&checkpoint.position.history);
        let oldest = self.saved.iter().rev().nth(self.keep_last - 1).copied().unwrap_or(0);
        self.saved.retain(|step| *step >= oldest || kept.contains(step));
        for (step, path) in self.list()? {
            if !self.saved.contains(&step) {
                fs::remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })?;
            }
        }
        Ok(path)
    }

    /// The checkpoint of a step, with its path.
    pub(crate) fn load(&self, step: usize) -> Result<(PathBuf, Checkpoint)> {
        let path = self.path(step);
        let bytes = fs::read(&path).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
        match format::decode(&bytes).and_then(|it| coherent(it, step)) {
            Ok(checkpoint) => Ok((path, checkpoint)),
            Err(reason) => Err(Error::Checkpoint { path, reason }),
        }
    }

    /// The newest whole checkpoint, and the files that were newer but not whole.
    pub(crate) fn search(&mut self) -> Result<Search> {
        let mut skipped = Vec::new();
        let whole: Vec<_> = self.list()?.into_iter().filter(|(_, path)| !is_temporary(path)).collect();
        for (step, path) in whole.iter().rev() {
            let bytes = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
            match format::decode(&bytes).and_then(|it| coherent(it, *step)) {
                Ok(checkpoint) => {
                    self.saved = whole.iter().map(|(step, _)| *step).filter(|older| older <= step).collect();
                    return Ok(Search { newest: Some((path.clone(), checkpoint)), skipped });
                }
                Err(reason) => skipped.push(SkippedCheckpoint { path: path.clone(), reason }),
            }
        }
        Ok(Search { newest: None, skipped })
    }

    fn path(&self, step: usize) -> PathBuf {
        self.folder.join(format!("step-{step:08}.safetensors"))
    }

    /// The files of the folder that are named as checkpoints, whole, torn or half-written, by step.
    fn list(&self) -> Result<Vec<(usize, PathBuf)>> {
        let fail = |source| Error::Io { action: "read", path: self.folder.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if let Some(step) = step_of(&path) {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The checkpoint, if it is that of its file's name, or the newest by name would not be the newest, and at one with itself.
fn coherent(checkpoint: Checkpoint, named: usize) -> Result<Checkpoint, String> {
    let Position { step, epoch, ref history, .. } = checkpoint.position;
    if step != named {
        return Err(format!("it holds step {step}, and its name says {named}"));
    }
    if history.epochs.len() != epoch {
        return Err(format!("it tells of {} epochs, and {epoch} are done", history.epochs.len()));
    }
    Ok(checkpoint)
}

fn step_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(TEMPORARY).and_then(|name| name.strip_suffix('.')).unwrap_or(name);
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == TEMPORARY)
}
