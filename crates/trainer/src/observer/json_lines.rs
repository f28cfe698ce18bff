//! Steps and epochs as JSON, an object a line, the same to the byte after a resume.

use super::{FitStart, Observer, StepEnd};
use crate::file::write_atomic;
use crate::{EpochRecord, Error, History, Metrics, Result};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes one JSON object a line: one a step, and one an epoch.
///
/// ```json
/// {"kind":"step","epoch":1,"batch":1,"step":1,"lr":0.001,"loss":2.31,"samples":32}
/// {"kind":"epoch","epoch":1,"step":250,"lr":0.001,"train":{"loss":0.5,"accuracy":0.84,"samples":8000},"val":null,"metrics":{}}
/// ```
///
/// `lr` is that of the step, or of the epoch's last one; a step's `loss` is that of its batch, before the step. `val` is
/// `null` without a validation set, `accuracy` where targets are no class indices, and one of `metrics` where it is undefined.
/// Finite numbers are in the shortest form that reads back exactly. JSON has no others: those are the strings `"NaN"`,
/// `"Infinity"` and `"-Infinity"`, which Python's `float` and JavaScript's `Number` read.
///
/// Each line is handed to the system whole before the fit goes on, so a killed run leaves whole lines. A fit that resumes keeps
/// the lines of the steps up to its checkpoint, drops all others, and takes the lines of the epochs from the history: the
/// run leaves the very bytes of one that was not killed. A fit that starts anew replaces the file.
///
/// ```
/// use taper_trainer::JsonLines;
///
/// let every_step = JsonLines::new("runs/mnist/log.jsonl");
/// let epochs_and_every_tenth_step = JsonLines::new("runs/mnist/log.jsonl").every_steps(10);
/// ```
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    every_steps: usize,
    /// Open for appending from the start of a fit on.
    file: Option<File>,
}

impl JsonLines {
    /// A log in the file at `path`, whose folder exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every_steps: 1, file: None }
    }

    /// Writes a line every `steps` optimiser steps, instead of one a step; 0 leaves the epochs alone.
    pub fn every_steps(mut self, steps: usize) -> Self {
        self.every_steps = steps;
        self
    }

    fn append(&mut self, line: &Line<'_>) -> Result<()> {
        let line = text(line);
        let file = self.file.as_mut();
        // One call a line: a kill falls before or after it.
        file.map_or(Ok(()), |file| file.write_all(line.as_bytes())).map_err(|source| self.error("write", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

impl Observer for JsonLines {
    fn leaves_files(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        let steps = match start.step {
            0 => BTreeMap::new(),
            last => steps_until(&self.path, last).map_err(|source| self.error("read", source))?,
        };
        write_atomic(&self.path, render(steps, start.history).as_bytes())?;
        let file = OpenOptions::new().append(true).open(&self.path);
        self.file = Some(file.map_err(|source| self.error("write to", source))?);
        Ok(())
    }

    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if self.every_steps > 0 && step.step.is_multiple_of(self.every_steps) {
            let StepEnd { epoch, batch, step, lr, loss, samples, .. } = *step;
            self.append(&Line::Step { epoch, batch, step, lr, loss, samples })?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, _: &History) -> Result<()> {
        self.append(&epoch_line(record))
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Step {
        epoch: usize,
        batch: usize,
        step: usize,
        #[serde(serialize_with = "number")]
        lr: f64,
        #[serde(serialize_with = "number")]
        loss: f64,
        samples: usize,
    },
    Epoch {
        epoch: usize,
        step: usize,
        #[serde(serialize_with = "number")]
        lr: f64,
        train: Means,
        val: Option<Means>,
        metrics: BTreeMap<&'a str, Option<Number>>,
    },
}

#[derive(Serialize)]
struct Means {
    loss: Number,
    accuracy: Option<Number>,
    samples: usize,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Number(#[serde(serialize_with = "number")] f64);

fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_finite() => serializer.serialize_f64(value),
        value if value.is_nan() => serializer.serialize_str("NaN"),
        value if value > 0.0 => serializer.serialize_str("Infinity"),
        _ => serializer.serialize_str("-Infinity"),
    }
}

fn means(metrics: Metrics) -> Means {
    let Metrics { loss, accuracy, samples } = metrics;
    Means { loss: Number(loss), accuracy: accuracy.map(Number), samples }
}

fn epoch_line(record: &EpochRecord) -> Line<'_> {
    let EpochRecord { epoch, step, lr, train, val, metrics } = record;
    let metrics = metrics.iter().map(|(name, value)| (name.as_str(), value.map(Number))).collect();
    Line::Epoch { epoch: *epoch, step: *step, lr: *lr, train: means(*train), val: val.map(means), metrics }
}

fn text(line: &Line<'_>) -> String {
    // Text and numbers to a string: there is nothing in it that could fail.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

/// The whole lines of steps up to `last` that the file at `path` holds; none where there is no file.
fn steps_until(path: &Path, last: usize) -> io::Result<BTreeMap<usize, String>> {
    #[derive(Deserialize)]
    struct Step {
        kind: String,
        step: usize,
    }
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other?,
    };
    let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let steps = whole.filter_map(|line| {
        let Step { kind, step } = serde_json::from_slice(line).ok()?;
        let text = String::from_utf8(line.to_vec()).ok()?;
        (kind == "step" && step <= last).then_some((step, text))
    });
    Ok(steps.collect())
}

/// The lines of `steps`, and of each epoch after its last step.
fn render(mut steps: BTreeMap<usize, String>, history: &History) -> String {
    let mut lines = String::new();
    for record in &history.epochs {
        let later = steps.split_off(&(record.step + 1));
        lines.extend(std::mem::replace(&mut steps, later).into_values());
        lines += &text(&epoch_line(record));
    }
    lines.extend(steps.into_values());
    lines
}
