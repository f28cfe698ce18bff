//! What can go wrong: one variant a cause, each message one line with the values at fault and the way out.

use std::path::{Path, PathBuf};

use crate::AnomalyPlace;
use crate::data::IdxFault;

/// The result of a function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the trainer could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An argument is not in the range that is accepted.
    #[error("{op}: {argument} must be {expected}, got {value}")]
    Value {
        /// The function or type that refused.
        op: &'static str,
        /// The argument at fault.
        argument: &'static str,
        /// The accepted range, in words.
        expected: &'static str,
        /// The value that was given.
        value: String,
    },
    /// Two things that belong together, such as images and labels, are not equally many.
    #[error("{left} holds {left_count} samples, but {right} holds {right_count}")]
    CountMismatch {
        /// The first of the two.
        left: String,
        /// How many it holds.
        left_count: usize,
        /// The other.
        right: String,
        /// How many that holds.
        right_count: usize,
    },
    /// A label is no class of its data set.
    #[error("{source_name}: label {label} of sample {index} is out of range for {classes} classes")]
    LabelOutOfRange {
        /// The file or data set.
        source_name: String,
        /// The label.
        label: i64,
        /// The sample it belongs to.
        index: usize,
        /// The number of classes.
        classes: u32,
    },
    /// An IDX file is malformed.
    #[error("{file}: {fault}")]
    Idx {
        /// The file, or the name that embedded bytes go by.
        file: String,
        /// What is wrong with it.
        #[source]
        fault: IdxFault,
    },
    /// A file or folder does not hold what it should.
    #[error("{file}: {reason}")]
    DataFile {
        /// The file or folder.
        file: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file could not be fetched from the Hugging Face Hub.
    #[cfg(feature = "hub")]
    #[error("cannot fetch {file} of {repo} from {endpoint}: {source}; check the connection and HF_ENDPOINT")]
    Hub {
        /// The address of the hub.
        endpoint: String,
        /// The data set's repository.
        repo: &'static str,
        /// The file in it.
        file: String,
        /// What went wrong on the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A fetched file does not hold what it should.
    #[cfg(feature = "hub")]
    #[error("{}: {reason}; delete the file to fetch it again", path.display())]
    Damaged {
        /// The file in the cache.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A sample is not of the shape that its data set, or a transform, declares.
    #[error("sample {index} has {values} values, but its data set and transforms declare shape {shape:?}")]
    SampleShape {
        /// The sample.
        index: usize,
        /// The number of values it holds.
        values: usize,
        /// The declared shape.
        shape: Vec<usize>,
    },
    /// A stream ended before the batches of an epoch were full.
    #[error(
        "the stream ended after {samples} samples of epoch {epoch}, and its batches take {wanted}: ask for fewer batches an epoch"
    )]
    StreamEnded {
        /// The epoch, counted from 0.
        epoch: u32,
        /// The samples that came.
        samples: usize,
        /// The samples of all batches of an epoch.
        wanted: usize,
    },
    /// Loading a sample panicked.
    #[error("loading sample {index} panicked: {message}")]
    LoadPanic {
        /// The sample.
        index: usize,
        /// What the panic said.
        message: String,
    },
    /// A transform of whole batches panicked.
    #[error("the batch transform {transform} panicked on batch {batch}: {message}")]
    BatchTransformPanic {
        /// The transform, in words.
        transform: String,
        /// The batch of the epoch, counted from 0.
        batch: usize,
        /// What the panic said.
        message: String,
    },
    /// A background thread could not be started.
    #[error("cannot start a loader thread: {0}; load with `workers(0)`")]
    Thread(#[source] std::io::Error),
    /// A background thread ended before it had delivered its batches.
    #[error("a loader thread ended before it delivered batch {batch}")]
    WorkerLost {
        /// The batch that was due.
        batch: usize,
    },
    /// A number of the training loop is NaN or infinite.
    #[error("the {what} is {value} at step {step} (epoch {epoch}); {}", remedy(*step))]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The optimiser step, counted from 1; it was not taken.
        step: usize,
    },
    /// A value of a step is NaN or infinite, as [`Trainer::detect_anomaly`](crate::Trainer::detect_anomaly) found.
    #[error("step {step} (epoch {epoch}): the first value that is not finite is in {place}: {value} at {index:?}")]
    Anomaly {
        /// Where it was found first.
        place: AnomalyPlace,
        /// Its index there, in row-major order the first of several.
        index: Vec<usize>,
        /// The value.
        value: f64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The optimiser step, counted from 1; it was taken only where a variable or a buffer is the place.
        step: usize,
    },
    /// The same step, taken twice from the same state, came to different bits.
    #[error(
        "the same step from the same state does not come to the same bits: {what} is {first} once and {second} again"
    )]
    NotDeterministic {
        /// The first thing that differs, and its index.
        what: String,
        /// What it was the first time.
        first: String,
        /// What it was the second time.
        second: String,
    },
    /// A state that an optimiser cannot go on from.
    #[error("the optimiser's state does not fit: {entry} {reason}")]
    OptimizerState {
        /// The entry at fault.
        entry: String,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// A pattern that no variable's name fits.
    #[error("{op}: no variable goes by {pattern:?}; there are {names}")]
    NoMatch {
        /// The function or type that refused.
        op: &'static str,
        /// The pattern.
        pattern: String,
        /// The names there are.
        names: String,
    },
    /// A file that is no whole checkpoint of this model.
    #[error("{} is not a checkpoint to resume from: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint of a run that was configured otherwise.
    #[error("cannot resume from {}: {differences}; restore the configuration, or start anew", path.display())]
    ConfigurationChanged {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, with both values.
        differences: String,
    },
    /// A fit was asked to stop, by [`Trainer::stop_when`](crate::Trainer::stop_when), and has.
    #[error("stopped after step {step}, as asked; {}", going_on(checkpoint.as_deref()))]
    Stopped {
        /// The optimiser steps that are done.
        step: usize,
        /// The checkpoint that a fit with [`resume(true)`](crate::Trainer::resume) goes on from, where checkpoints are kept.
        checkpoint: Option<PathBuf>,
    },
    /// The processes of a group did not meet.
    #[error("rank {rank}: the processes do not meet at {address}: {reason}")]
    Rendezvous {
        /// This process's rank.
        rank: usize,
        /// Where they meet.
        address: String,
        /// Why not.
        reason: String,
    },
    /// Another process of the group is lost; the group is at an end.
    #[error("rank {rank} is lost: {source}; start all processes again, they may resume")]
    Rank {
        /// Its rank.
        rank: usize,
        /// What went wrong on the way.
        source: std::io::Error,
    },
    /// The processes of a group do not do the same.
    #[error("{what} differ between rank 0 and rank {rank}: {remedy}")]
    RanksDiffer {
        /// What differs, in the plural.
        what: &'static str,
        /// The first rank that differs.
        rank: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// NCCL refuses.
    #[cfg(feature = "nccl")]
    #[error("{0}; NCCL_DEBUG=INFO makes it say more")]
    Nccl(String),
    /// Gradients could not be checked.
    #[cfg(feature = "gradcheck")]
    #[error(transparent)]
    GradCheck(#[from] taper_gradcheck::Error),
    /// An error of candle's own.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Before the first step no rate has had a say yet.
fn remedy(step: usize) -> &'static str {
    match step {
        1 => "no step has been taken yet: look for such values in the data, the initial weights or the loss",
        _ => "lower the learning rate, clip the gradients' norm, or look for such values in the data",
    }
}

fn going_on(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("a fit that resumes goes on from {}", path.display()),
        None => "there is no checkpoint: only another fit of the same trainer goes on from there".to_owned(),
    }
}

impl From<taper_ops::Error> for Error {
    fn from(error: taper_ops::Error) -> Self {
        Self::Candle(error.into())
    }
}
