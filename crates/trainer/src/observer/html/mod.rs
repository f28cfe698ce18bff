//! The training run as one page.

mod chart;
mod page;
mod picture;
mod predictions;
mod text;

use self::page::{Environment, Page};
use self::predictions::{Predictions, Predictor};
use super::{FitStart, Observer};
use crate::data::Loader;
use crate::file::write_atomic;
use crate::{EpochRecord, History, Result};
use candle_core::Tensor;
use std::path::PathBuf;
use std::time::Instant;

/// Writes a page that shows how a run went: one file that needs no other, no script and no network.
///
/// It holds the curves of loss, accuracy, further metrics and learning rate, the confusion matrix and the worst examples where
/// [`predictions`](Self::predictions) asks for them, the network where it was handed over, what the run was configured to
/// be, and what it ran on. It is readable on a telephone and in a dark scheme.
///
/// The page is written anew from the history at the start and at the end of each epoch, whole or not at all: after a resume its
/// curves are complete. Times are those of the fit at hand. All text is escaped.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::data::{InMemoryDataset, Loader};
/// use taper_trainer::{HtmlReport, Trainer};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let train = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 2)?;
/// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let path = std::env::temp_dir().join("taper-doc-report.html");
/// let report = HtmlReport::new(&path)
///     .title("Two classes")
///     .note("data", "four equal samples")
///     .classes(["low", "high"])
///     .predictions(&train, |x| x.matmul(&weight));
/// Trainer::new(vars, |x, _| x.matmul(&weight)).observer(report).fit(&train, None)?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains("Confusion matrix"));
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
pub struct HtmlReport<'a> {
    path: PathBuf,
    title: String,
    notes: Vec<(String, String)>,
    table: Option<String>,
    drawing: Option<String>,
    classes: Vec<String>,
    predictor: Option<Predictor<'a>>,
    predictions: Option<Predictions>,
    /// What the page tells of the fit at hand, from its start on.
    fit: Option<Fit>,
}

/// What is known from the start of a fit on.
struct Fit {
    configuration: Vec<(String, String)>,
    epochs: usize,
    batches_per_epoch: usize,
    /// The epochs that were done before.
    resumed_after: usize,
    started: Instant,
    environment: Environment,
}

impl<'a> HtmlReport<'a> {
    /// A report in the file at `path`, whose folder exists.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            title: "Training".to_owned(),
            notes: Vec::new(),
            table: None,
            drawing: None,
            classes: Vec::new(),
            predictor: None,
            predictions: None,
            fit: None,
        }
    }

    /// What the page is called; `Training` by default.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a line to the configuration: what the trainer does not know of, such as where the data come from.
    pub fn note(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.notes.push((name.into(), value.into()));
        self
    }

    /// The network as a table in plain text: a summary's `to_string()`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// The network drawn, as an SVG document. It is shown as a picture, in which nothing runs and nothing is fetched.
    pub fn drawing(mut self, svg: impl Into<String>) -> Self {
        self.drawing = Some(svg.into());
        self
    }

    /// What the classes are called, from class 0 on; by default their numbers.
    pub fn classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Shows what becomes of all samples of `loader`, whose targets are class indices: the confusion matrix, and the samples of
    /// the highest cross entropy, as pictures where they are `[1, H, W]` or `[3, H, W]`. `forward` makes logits `[N, C]`
    /// of inputs, in evaluation. At the end of each epoch this takes about as long as a validation.
    pub fn predictions(
        mut self,
        loader: &Loader,
        forward: impl Fn(&Tensor) -> candle_core::Result<Tensor> + 'a,
    ) -> Self {
        self.predictor = Some(Predictor { loader: loader.clone(), forward: Box::new(forward) });
        self
    }

    fn write(&self, history: &History, ended: bool) -> Result<()> {
        let Some(fit) = &self.fit else { return Ok(()) };
        write_atomic(&self.path, Page { report: self, fit, history, ended }.html().as_bytes())
    }
}

impl Observer for HtmlReport<'_> {
    fn leaves_files(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        self.predictor.as_ref().map_or(Ok(()), Predictor::check)?;
        let configuration = start.configuration.iter().map(|(name, value)| (name.clone(), value.clone()));
        self.fit = Some(Fit {
            configuration: configuration.collect(),
            epochs: start.epochs,
            batches_per_epoch: start.batches_per_epoch,
            resumed_after: start.history.epochs.len(),
            started: Instant::now(),
            environment: Environment::current(),
        });
        self.write(start.history, false)
    }

    fn on_epoch_end(&mut self, _: &EpochRecord, history: &History) -> Result<()> {
        self.predictions = self.predictor.as_ref().map(Predictor::predict).transpose()?;
        self.write(history, false)
    }

    fn on_fit_end(&mut self, history: &History) -> Result<()> {
        if self.predictions.is_none() {
            // A finished run that was resumed.
            self.predictions = self.predictor.as_ref().map(Predictor::predict).transpose()?;
        }
        self.write(history, true)
    }
}

impl std::fmt::Debug for HtmlReport<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HtmlReport").field("path", &self.path).field("title", &self.title).finish_non_exhaustive()
    }
}
