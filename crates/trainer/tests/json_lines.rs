//! The log of steps and epochs: that each line is a whole object of exact numbers, also after a resume from what a kill left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::DType;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{Net, loader};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::{EpochRecord, FitStart, History, JsonLines, Metrics, Observer, Result, StepEnd, Trainer};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Remembers what the log is told.
#[derive(Default)]
struct Steps(Vec<StepEnd>);

impl Observer for Steps {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.0.push(*step);
        Ok(())
    }
}

#[test]
fn a_fit_leaves_a_line_a_step_and_a_line_an_epoch_that_read_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    fs::write(&path, "{\"kind\":\"step\",\"step\":1,\"of\":\"a former run\"}\n").unwrap();
    let net = Net::new(DType::F32);
    let mut steps = Steps::default();
    let history = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
        .optimizer(Sgd::new(SgdConfig::default()).unwrap())
        .epochs(2)
        .observer(JsonLines::new(&path))
        .observer(&mut steps)
        .fit(&loader(), Some(&loader()))
        .unwrap();

    // As text: not every parser reads a number to the last bit.
    let means = |it: Metrics| {
        let (loss, accuracy, samples) = (it.loss, it.accuracy.unwrap(), it.samples);
        format!("{{\"loss\":{loss:?},\"accuracy\":{accuracy:?},\"samples\":{samples}}}")
    };
    let mut expected = String::new();
    for record in &history.epochs {
        for StepEnd { epoch, batch, step, lr, loss, samples, .. } in steps.0.drain(..5) {
            expected +=
                &format!("{{\"kind\":\"step\",\"epoch\":{epoch},\"batch\":{batch},\"step\":{step},\"lr\":{lr:?},");
            expected += &format!("\"loss\":{loss:?},\"samples\":{samples}}}\n");
        }
        let EpochRecord { epoch, step, lr, train, val, .. } = record;
        let (train, val) = (means(*train), means(val.unwrap()));
        expected += &format!("{{\"kind\":\"epoch\",\"epoch\":{epoch},\"step\":{step},\"lr\":{lr:?},");
        expected += &format!("\"train\":{train},\"val\":{val},\"metrics\":{{}}}}\n");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(lines(&path).len(), 12);
}

fn step(step: usize) -> StepEnd {
    let running = Metrics { loss: 0.5, accuracy: None, samples: 4 };
    StepEnd { epoch: 1 + (step - 1) / 3, batch: 1 + (step - 1) % 3, step, lr: 0.1, loss: 0.25, samples: 4, running }
}

fn record(epoch: usize) -> EpochRecord {
    let train = Metrics { loss: f64::NAN, accuracy: None, samples: 12 };
    let val = Some(Metrics { loss: f64::INFINITY, accuracy: Some(0.1 + 0.2), samples: 3 });
    let metrics = [("\"f1\"\n", Some(f64::NEG_INFINITY)), ("auroc", None), ("ece", Some(1e-300))];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
    EpochRecord { epoch, step: 3 * epoch, lr: 0.1, train, val, metrics }
}

/// Plays steps of a run of three steps an epoch, from one that has done `done` of them until step `last`.
fn play(mut log: JsonLines, done: usize, last: usize) {
    let mut history = History { epochs: (1..=done / 3).map(record).collect() };
    let (epoch, batch) = (done / 3, done % 3);
    let start = FitStart {
        configuration: &BTreeMap::new(),
        epochs: 4,
        batches_per_epoch: 3,
        epoch,
        batch,
        step: done,
        history: &history,
        resume: None,
    };
    log.on_fit_start(&start).unwrap();
    for i in done + 1..=last {
        log.on_step(&step(i)).unwrap();
        if i.is_multiple_of(3) {
            history.epochs.push(record(i / 3));
            log.on_epoch_end(&record(i / 3), &history).unwrap();
        }
    }
}

#[test]
fn what_json_has_no_number_for_is_a_string_and_what_there_is_not_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    play(JsonLines::new(&path).every_steps(0), 0, 3);
    let metrics: BTreeMap<&str, Value> =
        [("\"f1\"\n", json!("-Infinity")), ("auroc", Value::Null), ("ece", json!(1e-300))].into();
    let expected = json!({
        "kind": "epoch", "epoch": 1, "step": 3, "lr": 0.1,
        "train": { "loss": "NaN", "accuracy": null, "samples": 12 },
        "val": { "loss": "Infinity", "accuracy": 0.1 + 0.2, "samples": 3 },
        "metrics": metrics,
    });
    assert_eq!(lines(&path), [expected]);
    // What the document says other languages read, Rust reads too.
    assert!("NaN".parse::<f64>().unwrap().is_nan());
    let infinities = ["Infinity", "-Infinity"].map(|it| it.parse::<f64>().unwrap().to_bits());
    assert_eq!(infinities, [f64::INFINITY, f64::NEG_INFINITY].map(f64::to_bits));
}

#[test]
fn a_resume_repairs_whatever_a_kill_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let log = || JsonLines::new(&path);
    play(log(), 0, 12);
    let whole = fs::read(&path).unwrap();
    for done in 0..=12 {
        for last in done..=12 {
            // Killed after `last`, with a checkpoint at `done`.
            play(log(), 0, last);
            play(log(), done, 12);
            assert_eq!(fs::read(&path).unwrap(), whole, "killed after {last}, resumed from {done}");
        }
        // The same where the file was cut by a failing disk, or holds what is no line of the log.
        for spoil in [b"{\"kind\":\"step\",\"st".as_slice(), b"\xff\xfe\n\n{}\nnull\n", &whole[whole.len() - 20..]] {
            play(log(), 0, done);
            fs::write(&path, [&fs::read(&path).unwrap(), spoil].concat()).unwrap();
            play(log(), done, 12);
            assert_eq!(fs::read(&path).unwrap(), whole, "{:?} after {done}", String::from_utf8_lossy(spoil));
        }
    }
}

#[test]
fn a_resume_without_the_file_has_the_epochs_from_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    play(JsonLines::new(&path).every_steps(2), 7, 9);
    let places: Vec<(Value, Value)> =
        lines(&path).iter().map(|line| (line["kind"].clone(), line["step"].clone())).collect();
    let expected =
        [("epoch", 3), ("epoch", 6), ("step", 8), ("epoch", 9)].map(|(kind, step)| (json!(kind), json!(step)));
    assert_eq!(places, expected);
}

#[test]
fn a_log_that_cannot_be_written_ends_the_fit_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let net = Net::new(DType::F32);
    let start = || {
        let log = JsonLines::new(folder.path().join("nowhere").join("log.jsonl"));
        Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).observer(log).fit(&loader(), None)
    };
    let before = net.bits();
    let error = start().unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("log.jsonl"), "{error}");
    assert_eq!(net.bits(), before);
}
