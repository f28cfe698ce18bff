//! The page, section by section.

use super::chart::{PERCENT, PLAIN, RATE, Series, figure};
use super::picture::base64;
use super::text::{date, escaped, lasting, percent, short};
use super::{Fit, HtmlReport};
use crate::{EpochRecord, History, Metrics};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::SystemTime;
use taper_ops::Machine;

const STYLE: &str = include_str!("style.css");
/// The version of candle that the workspace holds to; candle does not tell it.
const CANDLE: &str = "0.11.1";

/// What a run ran on.
pub(super) struct Environment(Vec<(&'static str, String)>);

impl Environment {
    /// The machine and the thread that calls.
    pub(super) fn current() -> Self {
        let Machine { instructions, threads } = Machine::current();
        let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |it| it.to_string());
        let build = if cfg!(debug_assertions) { "with debug assertions" } else { "without debug assertions" };
        Self(vec![
            ("taper", env!("CARGO_PKG_VERSION").to_owned()),
            ("candle", CANDLE.to_owned()),
            ("system", format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)),
            ("processors available", cores),
            ("threads of the kernels", threads.to_string()),
            ("vector instructions", instructions.to_owned()),
            ("build", build.to_owned()),
            ("this fit began", date(SystemTime::now())),
        ])
    }
}

/// A page at one moment.
pub(super) struct Page<'p> {
    pub(super) report: &'p HtmlReport<'p>,
    pub(super) fit: &'p Fit,
    pub(super) history: &'p History,
    pub(super) ended: bool,
}

impl Page<'_> {
    pub(super) fn html(&self) -> String {
        let title = escaped(&self.report.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"/>\n\
             <meta name=\"generator\" content=\"taper\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        );
        html += &self.header(&title);
        html += &self.curves();
        if let Some(predictions) = &self.report.predictions {
            html += &predictions.html(&self.report.classes);
        }
        html += &self.network();
        html += "<div class=\"two\">\n";
        html += &self.configuration();
        html += &self.environment();
        html + "</div>\n</main>\n</body>\n</html>\n"
    }

    fn header(&self, title: &str) -> String {
        let (done, epochs) = (self.history.epochs.len(), self.fit.epochs);
        let state = if self.ended { "ended" } else { "under way" };
        let written = date(SystemTime::now());
        let mut html =
            format!("<header><h1>{title}</h1>\n<p>{done} of {epochs} epochs, {state}; written {written}.</p>\n");
        html += "<div class=\"tiles\">\n";
        let mut tile = |value: String, what: &str| {
            let _ = writeln!(html, "<div><b>{}</b><span>{}</span></div>", escaped(&value), escaped(what));
        };
        if let Some(last) = self.history.last() {
            tile(short(last.train.loss), "training loss, last epoch");
            if let Some(val) = last.val {
                tile(short(val.loss), "validation loss, last epoch");
            }
            if let Some(accuracy) = last.val.and_then(|val| val.accuracy) {
                tile(percent(accuracy), "validation accuracy, last epoch");
            }
        }
        if let Some((epoch, accuracy)) = self.best() {
            tile(percent(accuracy), &format!("best validation accuracy, epoch {epoch}"));
        }
        let since = match self.fit.resumed_after {
            0 => "since the fit began".to_owned(),
            epochs => format!("since the fit resumed after epoch {epochs}"),
        };
        tile(lasting(self.fit.started.elapsed()), &since);
        html + "</div></header>\n"
    }

    /// The first epoch of the highest validation accuracy.
    fn best(&self) -> Option<(usize, f64)> {
        let accuracies = self.history.epochs.iter().filter_map(|it| Some((it.epoch, it.val?.accuracy?)));
        accuracies.reduce(|best, it| if it.1 > best.1 { it } else { best })
    }

    fn curves(&self) -> String {
        if self.history.epochs.is_empty() {
            return "<section><h2>Curves</h2>\n<p class=\"none\">No epoch has ended yet.</p></section>\n".to_owned();
        }
        let mut html = "<section><h2>Curves</h2>\n<div class=\"figures\">\n".to_owned();
        let both = |of: fn(&Metrics) -> Option<f64>| {
            let train = self.series("training", |it| of(&it.train));
            let val = self.series("validation", |it| of(it.val.as_ref()?));
            [train, val].into_iter().filter(|series| !series.points.is_empty()).collect::<Vec<_>>()
        };
        html += &figure("Loss", &both(|it| Some(it.loss)), PLAIN);
        let accuracy = both(|it| it.accuracy);
        if !accuracy.is_empty() {
            html += &figure("Accuracy", &accuracy, PERCENT);
        }
        let names: BTreeSet<&String> = self.history.epochs.iter().flat_map(|it| it.metrics.keys()).collect();
        for name in names {
            let series = self.series("validation", |it| it.metrics.get(name).copied().flatten());
            html += &figure(name, &[series], PLAIN);
        }
        html += &figure("Learning rate", &[self.series("last step of the epoch", |it| Some(it.lr))], RATE);
        html + "</div>\n" + &self.epochs() + "</section>\n"
    }

    fn series(&self, name: &str, of: impl Fn(&EpochRecord) -> Option<f64>) -> Series {
        let points = self.history.epochs.iter().filter_map(|it| Some((it.epoch, of(it)?)));
        Series { name: name.to_owned(), points: points.collect() }
    }

    /// The curves' numbers.
    fn epochs(&self) -> String {
        let mut html =
            "<details><summary>Numbers of each epoch</summary>\n<div class=\"wide\"><table class=\"numbers\">\
                        <tr><th>epoch</th><th>step</th><th>learning rate</th><th>training loss</th><th>accuracy</th>\
                        <th>validation loss</th><th>accuracy</th></tr>\n"
                .to_owned();
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        for EpochRecord { epoch, step, lr, train, val, .. } in &self.history.epochs {
            let accuracy = |metrics: Option<Metrics>| or_none(metrics.and_then(|it| it.accuracy).map(percent));
            let _ = writeln!(
                html,
                "<tr><td>{epoch}</td><td>{step}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                short(*lr),
                short(train.loss),
                accuracy(Some(*train)),
                or_none(val.map(|it| short(it.loss))),
                accuracy(*val)
            );
        }
        html + "</table></div></details>\n"
    }

    fn network(&self) -> String {
        let HtmlReport { table, drawing, .. } = self.report;
        if table.is_none() && drawing.is_none() {
            return String::new();
        }
        let mut html = "<section><h2>Network</h2>\n".to_owned();
        if let Some(table) = table {
            let _ = writeln!(html, "<pre>{}</pre>", escaped(table));
        }
        if let Some(svg) = drawing {
            let svg = base64(svg.as_bytes());
            let _ = writeln!(
                html,
                "<details open=\"open\"><summary>Drawing</summary><div class=\"wide\"><img src=\"data:image/svg+xml;base64,{svg}\" \
                 alt=\"the network, drawn layer by layer\"/></div></details>"
            );
        }
        html + "</section>\n"
    }

    fn configuration(&self) -> String {
        let variable = |(name, _): &&(String, String)| name.starts_with("parameter ") || name.starts_with("buffer ");
        let (variables, others): (Vec<_>, Vec<_>) = self.fit.configuration.iter().partition(variable);
        let sizes = [("epochs", self.fit.epochs), ("batches per epoch", self.fit.batches_per_epoch)];
        let sizes = sizes.map(|(name, value)| (name.to_owned(), value.to_string()));
        let all = self.report.notes.iter().chain(&sizes).chain(others);
        let mut html = format!("<section><h2>Configuration</h2>\n{}", pairs(all));
        if !variables.is_empty() {
            let (count, table) = (variables.len(), pairs(variables));
            let _ = writeln!(html, "<details><summary>{count} variables and buffers</summary>\n{table}</details>");
        }
        html + "</section>\n"
    }

    fn environment(&self) -> String {
        let entries: Vec<_> =
            self.fit.environment.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        format!("<section><h2>Environment</h2>\n{}</section>\n", pairs(&entries))
    }
}

/// A table of names and values.
fn pairs<'p>(entries: impl IntoIterator<Item = &'p (String, String)>) -> String {
    let mut html = "<table class=\"pairs\">\n".to_owned();
    for (name, value) in entries {
        let _ = writeln!(html, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    html + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_candle_is_that_of_the_workspace() {
        let workspace = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
        assert!(workspace.contains(&format!("candle-core = \"={CANDLE}\"")));
    }
}
