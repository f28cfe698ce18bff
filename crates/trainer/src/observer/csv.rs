//! The history as a CSV file, the same to the byte after a resume.

use super::{FitStart, Observer};
use crate::file::write_atomic;
use crate::{EpochRecord, History, Metrics, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Writes a line an epoch: `epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy`, then the further metrics of
/// the validation set, each as `val_<name>`.
///
/// The file is written anew from the history at each epoch, whole or not at all. It follows from the history alone and
/// holds no time of day, so a run that was killed and resumed leaves the very bytes of one that was not. Numbers are in the
/// shortest form that reads back exactly; what there is not is left empty.
///
/// ```
/// use taper_trainer::CsvLog;
///
/// let log = CsvLog::new("runs/mnist/metrics.csv");
/// ```
#[derive(Debug, Clone)]
pub struct CsvLog {
    path: PathBuf,
}

impl CsvLog {
    /// A log in the file at `path`, whose folder exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Observer for CsvLog {
    fn leaves_files(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        write_atomic(&self.path, render(start.history).as_bytes())
    }

    fn on_epoch_end(&mut self, _: &EpochRecord, history: &History) -> Result<()> {
        write_atomic(&self.path, render(history).as_bytes())
    }
}

fn render(history: &History) -> String {
    let mut text = "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy".to_owned();
    let names: BTreeSet<&String> = history.epochs.iter().flat_map(|record| record.metrics.keys()).collect();
    names.iter().for_each(|name| text += &format!(",{}", quoted(&format!("val_{name}"))));
    text.push('\n');
    for EpochRecord { epoch, step, lr, train, val, metrics } in &history.epochs {
        let [train_accuracy, val_loss, val_accuracy] =
            [train.accuracy, val.map(|val| val.loss), val.as_ref().and_then(|val: &Metrics| val.accuracy)]
                .map(|value| value.map_or(String::new(), |value| value.to_string()));
        // Writing to a string does not fail.
        let _ = write!(text, "{epoch},{step},{lr},{},{train_accuracy},{val_loss},{val_accuracy}", train.loss);
        for name in &names {
            let value = metrics.get(*name).copied().flatten();
            text += &value.map_or(",".to_owned(), |value| format!(",{value}"));
        }
        text.push('\n');
    }
    text
}

/// A field as RFC 4180 has it: in quotes where it holds what would part it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
