//! Early stopping, the best checkpoint and those of every few epochs, and that a resume leaves the same of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{Net, loader};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::schedule::{ReduceOnPlateau, Warmup};
use taper_trainer::{
    Accuracy, Auroc, Average, Checkpoints, CsvLog, EarlyStopping, Ema, EpochRecord, Error, F1, History, Metric,
    Metrics, Monitor, Observer, Progress, Result, StepEnd, Trainer,
};

const EPOCHS: usize = 12;
/// The epoch after which the weight is nearest to what [`Distance`] wants.
const BEST: usize = 5;

/// How far the only logit is from 5.
#[derive(Debug, Default)]
struct Distance(Option<f64>);

impl Metric for Distance {
    fn name(&self) -> String {
        "distance".to_owned()
    }

    fn update(&mut self, logits: &Tensor, _: &Tensor, _: f64) -> Result<()> {
        let logit = f64::from(logits.flatten_all()?.get(0)?.to_scalar::<f32>()?);
        self.0 = Some((logit - 5.0).abs());
        Ok(())
    }

    fn value(&self) -> Option<f64> {
        self.0
    }

    fn reset(&mut self) {
        self.0 = None;
    }
}

/// A weight that grows by 1 an epoch of five steps, and is the logit of every sample.
fn climb() -> Var {
    Var::new(0f32, &Device::Cpu).unwrap()
}

fn trainer<'a>(weight: &'a Var, folder: &Path) -> Trainer<'a> {
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let forward = |x: &Tensor, _: &taper_ops::Mode| weight.broadcast_as((x.dims()[0], 1));
    let sgd = Sgd::new(SgdConfig { lr: 0.2, ..Default::default() }).unwrap();
    Trainer::new(vars, forward)
        .loss(|logits, _| logits.mean_all()?.neg())
        .optimizer(sgd)
        .metric(Distance::default())
        .epochs(EPOCHS)
        .checkpoints(Checkpoints::new(folder).keep_last(2))
        .observer(CsvLog::new(folder.join("metrics.csv")))
}

fn distance() -> Monitor {
    Monitor::Min("distance".to_owned())
}

/// The names of the checkpoints in a folder.
fn checkpoints(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.starts_with("step-")).collect();
    names.sort();
    names
}

fn step(step: usize) -> String {
    format!("step-{step:08}.safetensors")
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn record(epoch: usize, loss: f64, score: Option<f64>) -> EpochRecord {
    let metrics = Metrics { loss, accuracy: None, samples: 8 };
    let train = Metrics { loss: 99.0, ..metrics };
    let score = BTreeMap::from([("score".to_owned(), score)]);
    EpochRecord { epoch, step: 5 * epoch, lr: 0.1, train, val: Some(metrics), metrics: score }
}

#[test]
fn a_fit_ends_when_it_no_longer_gets_better() {
    let folder = tempfile::tempdir().unwrap();
    let weight = climb();
    let mut out = Vec::new();
    let mut trainer = trainer(&weight, folder.path()).early_stopping(EarlyStopping::new(distance(), 3));
    trainer = trainer.observer(Progress::to_writer(&mut out));
    let history = trainer.fit(&loader(), Some(&loader())).unwrap();
    assert_eq!(history.epochs.len(), BEST + 3);
    let distances: Vec<f64> = history.epochs.iter().map(|epoch| epoch.metrics["distance"].unwrap().round()).collect();
    assert_eq!(distances, [4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(checkpoints(folder.path()), [step(35), step(40)], "the last step writes one");
    // A second fit has nothing left to do, in memory or resumed, unless it is given more patience.
    assert_eq!(trainer.fit(&loader(), Some(&loader())).unwrap(), history);
    drop(trainer);
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains("distance 4.0000  ") && told.contains("\nstopped early, after epoch 8\n"), "{told}");
    let csv = fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
    assert!(csv.starts_with("epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,val_distance\n"), "{csv}");
    for (patience, epochs) in [(3, 8), (5, 10)] {
        let weight = climb();
        let stopping = EarlyStopping::new(distance(), patience);
        let mut resumed = self::trainer(&weight, folder.path()).resume(true).early_stopping(stopping);
        assert_eq!(resumed.fit(&loader(), Some(&loader())).unwrap().epochs.len(), epochs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, rng_seed: RngSeed::Fixed(20_261_124), failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn stopping_is_as_its_formula_says(
        values in prop::collection::vec(prop::option::weighted(0.9, 0i8..9), 0..20), patience in 1usize..5, delta in 0u8..3,
        lower: bool,
    ) {
        let sign = if lower { 1.0 } else { -1.0 };
        let value = |value: &Option<i8>| value.map(|value| sign * f64::from(value));
        let epochs: Vec<_> = (1..).zip(&values).map(|(i, it)| record(i, value(it).unwrap_or(0.0), value(it))).collect();
        let name = "score".to_owned();
        let monitor = if lower { Monitor::Min(name) } else { Monitor::Max(name) };
        let stopping = EarlyStopping { min_delta: f64::from(delta), ..EarlyStopping::new(monitor, patience) };
        let known: Vec<i8> = values.iter().flatten().copied().collect();
        // Epoch i is better where it is lower than all better ones before it, which are those that lowered the best.
        let mut best: Vec<usize> = Vec::new();
        for i in 0..known.len() {
            if best.last().is_none_or(|last| known[i] < known[*last] - delta as i8) {
                best.push(i);
            }
        }
        let gaps = best.iter().zip(best.iter().skip(1).copied().chain([known.len()]));
        let expected = gaps.into_iter().any(|(from, to)| to - from > patience);
        prop_assert_eq!(stopping.stops_after(&epochs), expected, "{:?}", best);
    }
}

#[test]
fn what_is_not_there_is_passed_over_and_nan_is_never_better() {
    let nan = |epochs: &[f64]| {
        let epochs: Vec<_> = (1..).zip(epochs).map(|(i, loss)| record(i, *loss, None)).collect();
        EarlyStopping::new(Monitor::Loss, 2).stops_after(&epochs)
    };
    assert!(nan(&[f64::NAN, f64::NAN]) && nan(&[1.0, f64::NAN, f64::NAN]));
    assert!(!nan(&[f64::NAN, 2.0, f64::NAN, 1.0, 1.5]));
    let undefined: Vec<_> = (1..9).map(|i| record(i, i as f64, None)).collect();
    assert!(!EarlyStopping::new(Monitor::Max("score".to_owned()), 1).stops_after(&undefined));
    // Without a validation set the loss is that of the training.
    let training: Vec<_> = undefined.iter().map(|it| EpochRecord { val: None, ..it.clone() }).collect();
    assert!(EarlyStopping::new(Monitor::Loss, 7).stops_after(&training));
    // A plateau looks at the same.
    let plateau = ReduceOnPlateau {
        patience: 0,
        factor: 0.5,
        monitor: Monitor::Max("score".to_owned()),
        ..ReduceOnPlateau::new(1.0)
    };
    let scored: Vec<_> = [0.1, 0.3, 0.2].iter().zip(1..).map(|(score, i)| record(i, 1.0, Some(*score))).collect();
    assert!((taper_trainer::Schedule::rates(&plateau, 15, &scored).lr - 0.5).abs() < 1e-15);
}

#[test]
fn the_best_checkpoint_stays_and_can_be_gone_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let weight = climb();
    let keep = || Checkpoints::new(folder.path()).keep_last(2).keep_best(distance());
    let mut trainer = trainer(&weight, folder.path()).checkpoints(keep());
    let history = trainer.fit(&loader(), Some(&loader())).unwrap();
    assert_eq!(checkpoints(folder.path()), [step(5 * BEST), step(55), step(60)]);
    let best = trainer.load_best().unwrap();
    assert_eq!((best.epoch, &best), (BEST, &history.epochs[BEST - 1]));
    assert!((weight.to_scalar::<f32>().unwrap() - 5.0).abs() < 1e-5);
    let now = trainer.evaluate(&loader()).unwrap();
    assert_eq!((Some(now.overall), now.metrics), (best.val, best.metrics.clone()));
    assert_eq!(now.overall.samples, 23);

    // Another process, which is configured to evaluate alone.
    let load = |weight: &Var, checkpoints: Checkpoints| {
        let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
        Trainer::new(vars, |x, _| weight.broadcast_as((x.dims()[0], 1))).checkpoints(checkpoints).load_best()
    };
    let weight = climb();
    assert_eq!(load(&weight, keep()).unwrap(), best);
    assert!((weight.to_scalar::<f32>().unwrap() - 5.0).abs() < 1e-5);

    let refused = |checkpoints: Checkpoints| {
        let weight = climb();
        let error = load(&weight, checkpoints).unwrap_err();
        assert_eq!(weight.to_scalar::<f32>().unwrap().to_bits(), 0, "nothing has changed");
        error
    };
    let nothing = tempfile::tempdir().unwrap();
    let message = refused(Checkpoints::new(nothing.path()).keep_best(Monitor::Loss)).to_string();
    assert!(message.starts_with("load_best: checkpoints must be a folder that holds a whole one, got "), "{message}");
    let message = refused(Checkpoints::new(folder.path())).to_string();
    assert!(message.starts_with("load_best: checkpoints must be kept by `keep_best`, got "), "{message}");
    let message = refused(Checkpoints::new(folder.path()).keep_best(Monitor::Max("f1".to_owned()))).to_string();
    assert!(message.contains("monitor must be a number that an epoch has, got Max(\"f1\") of 12 epochs"), "{message}");
    let path = folder.path().join(step(5 * BEST));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(refused(keep()), Error::Checkpoint { path: at, .. } if at == path));
    fs::remove_file(&path).unwrap();
    assert!(matches!(refused(keep()), Error::Io { action: "read", path: at, .. } if at == path));
}

#[test]
fn a_best_epoch_writes_one_and_so_does_every_few() {
    let kept = |checkpoints: fn(Checkpoints) -> Checkpoints| {
        let folder = tempfile::tempdir().unwrap();
        let weight = climb();
        let own = checkpoints(Checkpoints::new(folder.path()).keep_last(1).every_epoch(false));
        trainer(&weight, folder.path()).checkpoints(own).fit(&loader(), Some(&loader())).unwrap();
        self::checkpoints(folder.path())
    };
    assert_eq!(kept(|it| it), [step(60)]);
    assert_eq!(kept(|it| it.keep_best(Monitor::Min("distance".to_owned()))), [step(25), step(60)]);
    assert_eq!(kept(|it| it.keep_every(4)), [step(20), step(40), step(60)]);
    assert_eq!(
        kept(|it| it.keep_every(5).keep_best(Monitor::Max("distance".to_owned()))),
        [step(25), step(50), step(60)]
    );
    assert_eq!(kept(|it| it.keep_every(4).keep_every(0)), [step(60)]);
}

/// Stops a fit after a step, as a crash would.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if step.step < self.0 { Ok(()) } else { Err(Error::Candle(candle_core::Error::Msg("stopped".to_owned()))) }
    }
}

/// Weights and buffers, the history, and every file.
type Outcome = (BTreeMap<String, Vec<u64>>, History, BTreeMap<String, Vec<u8>>);

fn run(folder: &Path, stop: usize) -> Result<Outcome> {
    let net = Net::with_batch_norm(DType::F32);
    let sgd = Sgd::new(SgdConfig { lr: 0.4, momentum: 0.8, ..Default::default() }).unwrap();
    let auroc = || Monitor::Max("auroc".to_owned());
    let plateau = ReduceOnPlateau { patience: 1, factor: 0.7, monitor: auroc(), ..ReduceOnPlateau::new(0.4) };
    let history = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
        .buffers(net.buffers.clone())
        .optimizer(sgd)
        .schedule(Warmup::new(7, plateau))
        .ema(Ema::new(0.6))
        .seed(5)
        .metric(Auroc::default())
        .metric(F1::new(Average::Macro))
        .metric(Accuracy::default())
        .early_stopping(EarlyStopping::new(auroc(), 4))
        .epochs(40)
        .checkpoints(Checkpoints::new(folder).every_steps(3).keep_last(2).keep_best(auroc()).keep_every(3))
        .resume(true)
        .observer(CsvLog::new(folder.join("metrics.csv")))
        .observer(StopAfter(stop))
        .fit(&loader(), Some(&loader()))?;
    Ok((net.bits(), history, files(folder)))
}

#[test]
fn a_resumed_run_stops_at_the_same_epoch_with_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(folder.path(), usize::MAX).unwrap();
    let epochs = whole.1.epochs.len();
    assert!((6..40).contains(&epochs), "the test needs a run that is stopped, not after {epochs}");
    let best = whole.1.epochs[epochs - 5].clone();
    assert!(whole.2.contains_key(&step(best.step)), "{:?}", whole.2.keys());
    for record in &whole.1.epochs {
        assert_eq!(record.metrics["accuracy"], record.val.unwrap().accuracy);
    }
    for stop in [best.step - 7, best.step, best.step + 1, best.step + 12, 5 * epochs] {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path(), stop).unwrap_err().to_string(), "stopped");
        assert_eq!(run(folder.path(), usize::MAX).unwrap(), whole, "stopped after {stop}");
        assert_eq!(run(folder.path(), usize::MAX).unwrap(), whole, "a run that is over changes nothing");
    }

    // The best one with its averages, as validation saw it; without them it is refused.
    let net = Net::with_batch_norm(DType::F32);
    let load = || {
        let checkpoints = Checkpoints::new(folder.path()).keep_best(Monitor::Max("auroc".to_owned()));
        let trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).buffers(net.buffers.clone());
        trainer.metric(Auroc::default()).checkpoints(checkpoints)
    };
    let before = net.bits();
    let error = load().load_best().unwrap_err();
    assert!(
        error.to_string().contains("it holds averages, which validation looked at: ask for them by `ema`"),
        "{error}"
    );
    assert_eq!(net.bits(), before);
    let mut trainer = load().ema(Ema::new(0.6));
    assert_eq!(trainer.load_best().unwrap(), best);
    let evaluation = trainer.evaluate(&loader()).unwrap();
    assert_eq!((Some(evaluation.overall), evaluation.metrics["auroc"]), (best.val, best.metrics["auroc"]));
}

#[test]
fn monitors_of_what_is_not_computed_and_numbers_that_never_stop_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weight = climb();
    let new = || trainer(&weight, folder.path());
    let message = |mut trainer: Trainer<'_>, val| trainer.fit(&loader(), val).unwrap_err().to_string();
    let (val, misspelt) = (loader(), || Monitor::Max("dist".to_owned()));
    let expected =
        "monitor must be a metric that is computed on a validation set, got \"dist\"; there are [\"distance\"]";
    let stopping = EarlyStopping::new(misspelt(), 3);
    assert_eq!(message(new().early_stopping(stopping), Some(&val)), format!("EarlyStopping: {expected}"));
    let best = Checkpoints::new(folder.path()).keep_best(misspelt());
    assert_eq!(message(new().checkpoints(best), Some(&val)), format!("keep_best: {expected}"));
    let plateau = ReduceOnPlateau { monitor: misspelt(), ..ReduceOnPlateau::new(1.0) };
    let warm = taper_trainer::schedule::Sequential::new(Warmup::new(3, plateau));
    assert_eq!(message(new().schedule(warm), Some(&val)), format!("schedule: {expected}"));
    let none = message(new().early_stopping(EarlyStopping::new(distance(), 3)), None);
    assert!(none.ends_with("got \"distance\"; there are []"), "{none}");
    let zero = message(new().early_stopping(EarlyStopping::new(distance(), 0)), Some(&val));
    assert_eq!(zero, "EarlyStopping: patience must be at least 1, got 0");
    for min_delta in [-1.0, f64::NAN, f64::INFINITY] {
        let stopping = EarlyStopping { min_delta, ..EarlyStopping::new(distance(), 1) };
        let refused = format!("EarlyStopping: min_delta must be finite and not negative, got {min_delta}");
        assert_eq!(message(new().early_stopping(stopping), Some(&val)), refused);
    }
    let twice = message(new().metric(Distance::default()), Some(&val));
    assert_eq!(twice, "Trainer: metric must be of a name of its own, got \"distance\" twice");
    assert_eq!(weight.to_scalar::<f32>().unwrap().to_bits(), 0);

    // Other metrics are another configuration, whatever they have taken in.
    let mut first = new().epochs(2);
    first.fit(&loader(), Some(&val)).unwrap();
    drop(first);
    let resumed = new().epochs(2).resume(true).fit(&loader(), Some(&val)).unwrap();
    assert_eq!(resumed.epochs.len(), 2);
    let other = message(new().resume(true).metric(taper_trainer::MeanLoss::default()), Some(&val));
    assert!(other.contains("metrics was [Distance(None)] and is [Distance(None), MeanLoss {"), "{other}");
}
