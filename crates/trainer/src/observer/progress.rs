//! Progress for people: a bar on a terminal, plain lines elsewhere.

use super::{FitStart, Observer, Resume, StepEnd};
use crate::metrics::write_metrics;
use crate::{EpochRecord, Error, History, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long a long epoch may stay silent where there is no bar.
const SILENCE: Duration = Duration::from_secs(10);

/// Tells how the fit goes: a line an epoch and, on a terminal, a bar with loss, accuracy, speed and remaining time. Without
/// a terminal a long epoch has a line about every ten seconds.
///
/// ```
/// use taper_trainer::Progress;
///
/// let progress = Progress::stderr();
/// let lines = Progress::to_writer(Vec::new());
/// ```
pub struct Progress<'a> {
    out: Box<dyn Write + 'a>,
    /// The bar of the epoch, on a terminal.
    bar: Option<ProgressBar>,
    epochs: usize,
    batches_per_epoch: usize,
    started: Instant,
    spoken: Instant,
    /// The samples since the epoch started, or since the fit resumed within it.
    samples: usize,
}

impl Progress<'static> {
    /// To standard error, with a bar where that is a terminal.
    pub fn stderr() -> Self {
        let mut progress = Self::to_writer(io::stderr());
        progress.bar = io::stderr().is_terminal().then(bar);
        progress
    }
}

impl<'a> Progress<'a> {
    /// Plain lines to `out`.
    pub fn to_writer(out: impl Write + 'a) -> Self {
        let now = Instant::now();
        Self { out: Box::new(out), bar: None, epochs: 0, batches_per_epoch: 0, started: now, spoken: now, samples: 0 }
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let out = &mut self.out;
        let mut write = || writeln!(out, "{line}").and_then(|()| out.flush());
        let written = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        written.map_err(|source| Error::Io { action: "write to", path: "the progress output".into(), source })
    }

    fn begin_epoch(&mut self, batch: usize) {
        let now = Instant::now();
        (self.started, self.spoken, self.samples) = (now, now, 0);
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_message("");
            bar.set_length(self.batches_per_epoch as u64);
            bar.set_position(batch as u64);
            bar.reset_eta();
        }
    }

    fn speed(&self) -> f64 {
        self.samples as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Observer for Progress<'_> {
    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        (self.epochs, self.batches_per_epoch) = (start.epochs, start.batches_per_epoch);
        if let Some(Resume { folder, from, skipped }) = start.resume {
            for skipped in skipped {
                self.line(&format!("skipped {}: {}", skipped.path.display(), skipped.reason))?;
            }
            match from {
                Some(path) => self.line(&format!(
                    "resuming from {} (epoch {}, batch {} of {})",
                    path.display(),
                    start.epoch + 1,
                    start.batch,
                    start.batches_per_epoch,
                ))?,
                None => self.line(&format!("no checkpoint to resume from in {}: starting anew", folder.display()))?,
            }
        }
        self.begin_epoch(start.batch);
        Ok(())
    }

    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.samples += step.samples;
        let (epochs, batches) = (self.epochs, self.batches_per_epoch);
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {:>2}/{epochs}", step.epoch));
            bar.set_message(format!("{}, {:.0} samples/s", step.running, self.speed()));
            bar.set_position(step.batch as u64);
        } else if self.spoken.elapsed() >= SILENCE && step.batch < batches {
            self.spoken = Instant::now();
            let (epoch, batch, running, speed) = (step.epoch, step.batch, step.running, self.speed());
            self.line(&format!("epoch {epoch:>2}/{epochs}  batch {batch}/{batches}  {running}, {speed:.0} samples/s"))?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, _: &History) -> Result<()> {
        let EpochRecord { epoch, train, val, metrics, .. } = record;
        let val = val.map_or(String::new(), |val| format!("  val {val}"));
        let mut further = String::new();
        // Writing to a string does not fail.
        let _ = write_metrics(&mut further, metrics);
        let seconds = self.started.elapsed().as_secs_f64();
        self.line(&format!("epoch {epoch:>2}/{}  train {train}{val}{further}  {seconds:.1} s", self.epochs))?;
        self.begin_epoch(0);
        Ok(())
    }

    fn on_fit_end(&mut self, history: &History) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match history.epochs.len() {
            epochs if epochs < self.epochs => self.line(&format!("stopped early, after epoch {epochs}")),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("bar", &self.bar.is_some()).finish_non_exhaustive()
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {pos}/{len}  {msg}  {eta} left");
    // The template is a constant; should a later indicatif refuse it, its own style is a fair stand-in.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}
