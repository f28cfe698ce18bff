//! What a network makes of a set of samples: the confusion matrix, and the samples it is most wrong about.

use super::picture::data_uri;
use super::text::{escaped, percent, short};
use crate::data::{Batch, Loader};
use crate::metrics::predicted;
use crate::{ConfusionMatrix, Error, Metric, Result};
use candle_core::{DType, Tensor};
use std::fmt::Write;

/// How many of the worst samples are shown.
const WORST: usize = 24;
/// The most classes of a matrix that a page holds; of more, the most frequent confusions are listed.
const MATRIX: usize = 20;

type Forward<'a> = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + 'a;

/// What to predict, and with what.
pub(super) struct Predictor<'a> {
    pub(super) loader: Loader,
    pub(super) forward: Box<Forward<'a>>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Predictions {
    confusion: ConfusionMatrix,
    /// Those of the highest loss, the highest first.
    worst: Vec<Example>,
}

struct Example {
    index: usize,
    truth: usize,
    predicted: usize,
    /// The probability of the prediction.
    confidence: f64,
    loss: f64,
    picture: Option<String>,
}

impl Predictor<'_> {
    /// Refuses what cannot be predicted, before hours of training: on the first batch.
    pub(super) fn check(&self) -> Result<()> {
        let first = self.loader.epoch(0, 0).next();
        first.map_or(Ok(()), |batch| self.add(&mut Predictions::default(), &batch?))
    }

    pub(super) fn predict(&self) -> Result<Predictions> {
        let mut predictions = Predictions::default();
        for batch in self.loader.epoch(0, 0) {
            self.add(&mut predictions, &batch?)?;
        }
        Ok(predictions)
    }

    fn add(&self, predictions: &mut Predictions, batch: &Batch) -> Result<()> {
        let (logits, targets) = self.logits(batch)?;
        predictions.confusion.update(&logits, &batch.targets, 0.0)?;
        predictions.add_worst(batch, &logits.to_dtype(DType::F64)?.to_vec2()?, &targets)
    }

    /// The logits `[N, C]` of a batch, and its targets.
    fn logits(&self, batch: &Batch) -> Result<(Tensor, Vec<usize>)> {
        let refuse = |argument, expected, value| Err(Error::Value { op: "HtmlReport", argument, expected, value });
        let targets = &batch.targets;
        if targets.rank() != 1 || targets.dtype().is_float() {
            let value = format!("{} {:?}", targets.dtype().as_str(), targets.dims());
            return refuse("targets", "class indices [N]", value);
        }
        let logits = (self.forward)(&batch.inputs)?.detach();
        let targets: Vec<i64> = targets.to_dtype(DType::I64)?.to_vec1()?;
        let expected = "[N, C], with a column for each of the targets";
        if logits.rank() != 2 || logits.dims()[0] != targets.len() {
            return refuse("predictions", expected, format!("{:?} for {} samples", logits.dims(), targets.len()));
        }
        let classes = logits.dims()[1];
        let class = |target: i64| usize::try_from(target).ok().filter(|target| *target < classes);
        match targets.iter().map(|target| class(*target)).collect() {
            Some(targets) => Ok((logits, targets)),
            None => refuse("predictions", expected, format!("{:?} for targets {targets:?}", logits.dims())),
        }
    }
}

impl Predictions {
    fn add_worst(&mut self, batch: &Batch, scores: &[Vec<f64>], targets: &[usize]) -> Result<()> {
        let mut candidates = Vec::new();
        for (place, (scores, &truth)) in scores.iter().zip(targets).enumerate() {
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            let predicted = predicted(scores);
            let loss = highest + sum.ln() - scores[truth];
            // One NaN, and the worst of all: those of arithmetic may have a sign, and sort below everything.
            let loss = if loss.is_nan() { f64::NAN } else { loss };
            candidates.push((
                place,
                Example { index: batch.indices[place], truth, predicted, confidence: 1.0 / sum, loss, picture: None },
            ));
        }
        candidates.sort_by(|a, b| b.1.loss.total_cmp(&a.1.loss));
        for (place, mut example) in candidates.into_iter().take(WORST) {
            let at = self.worst.partition_point(|other| other.loss.total_cmp(&example.loss).is_ge());
            if at < WORST {
                let values: Vec<f32> = batch.inputs.get(place)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
                example.picture = data_uri(&values, &batch.inputs.dims()[1..]);
                self.worst.insert(at, example);
                self.worst.truncate(WORST);
            }
        }
        Ok(())
    }

    /// The sections of the page; classes go by `names` where there are any.
    pub(super) fn html(&self, names: &[String]) -> String {
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let matrix = if self.confusion.classes() <= MATRIX { self.matrix(&name) } else { self.confusions(&name) };
        format!("<section><h2>Confusion matrix</h2>\n{matrix}</section>\n{}", self.worst(&name))
    }

    fn matrix(&self, name: &impl Fn(usize) -> String) -> String {
        let mut html = "<p>Rows are the true classes, columns the predicted ones.</p>\n<div class=\"wide\"><table class=\"matrix\">\
                        <tr><th></th>"
            .to_owned();
        let classes = self.confusion.classes();
        for class in 0..classes {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(&name(class)));
        }
        html += "<th scope=\"col\">right</th></tr>\n";
        for (truth, recall) in self.confusion.recall().into_iter().enumerate() {
            let total: u64 = (0..classes).map(|predicted| self.confusion.count(truth, predicted)).sum();
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(&name(truth)));
            for predicted in 0..classes {
                let count = self.confusion.count(truth, predicted);
                // A tenth of a class that goes astray is a lot.
                let share = count as f64 / total.max(1) as f64;
                let (kind, depth) =
                    if truth == predicted { ("right", share) } else { ("astray", (share * 10.0).min(1.0)) };
                let text = if count == 0 { String::new() } else { count.to_string() };
                let _ = write!(html, "<td class=\"{kind}\" style=\"--depth:{:.0}%\">{text}</td>", 60.0 * depth);
            }
            let right = recall.map_or("–".to_owned(), percent);
            let _ = writeln!(html, "<td>{right}</td></tr>");
        }
        html + "</table></div>\n"
    }

    fn confusions(&self, name: &impl Fn(usize) -> String) -> String {
        let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
        let classes = self.confusion.classes();
        for truth in 0..classes {
            let counted = (0..classes).map(|predicted| (self.confusion.count(truth, predicted), truth, predicted));
            pairs.extend(counted.filter(|(count, _, predicted)| *predicted != truth && *count > 0));
        }
        pairs.sort_by_key(|(count, truth, predicted)| (std::cmp::Reverse(*count), *truth, *predicted));
        let mut html = format!(
            "<p>Of {classes} classes, the most frequent confusions.</p>\n<div class=\"wide\"><table><tr><th>true</th><th>predicted</th>\
             <th>samples</th></tr>\n"
        );
        for (count, truth, predicted) in pairs.into_iter().take(MATRIX) {
            let (truth, predicted) = (escaped(&name(truth)), escaped(&name(predicted)));
            let _ = writeln!(html, "<tr><td>{truth}</td><td>{predicted}</td><td>{count}</td></tr>");
        }
        html + "</table></div>\n"
    }

    fn worst(&self, name: &impl Fn(usize) -> String) -> String {
        let mut html = "<section><h2>Worst examples</h2>\n<p>The samples of the highest loss: true → predicted (its probability). \
                        The number is the sample's place in its data set.</p>\n<div class=\"examples\">\n"
            .to_owned();
        for Example { index, truth, predicted, confidence, loss, picture } in &self.worst {
            let picture =
                picture.as_ref().map_or(String::new(), |uri| format!("<img src=\"{uri}\" alt=\"sample {index}\"/>"));
            let kind = if truth == predicted { "right" } else { "astray" };
            let (truth, predicted) = (escaped(&name(*truth)), escaped(&name(*predicted)));
            let (loss, confidence) = (short(*loss), percent(*confidence));
            let _ = writeln!(
                html,
                "<div>{picture}<b class=\"{kind}\">{truth} → {predicted}</b> <span>{confidence}</span><small>no. {index}, loss \
                 {loss}</small></div>"
            );
        }
        html + "</div></section>\n"
    }
}
