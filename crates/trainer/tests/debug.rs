//! Aids for debugging: trial runs, overfitting a few batches, and validation before the first step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Tensor};
use std::cell::RefCell;
use std::fs;
use support::{Net, dataset, loader};
use taper_ops::Mode;
use taper_trainer::data::{InMemoryDataset, Loader, RandomVerticalFlip};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::{
    Accuracy, Checkpoints, CsvLog, EpochRecord, FitStart, History, HtmlReport, JsonLines, Observer, Result, StepEnd,
    TensorBoard, Trainer,
};

fn trainer(net: &Net) -> Trainer<'_> {
    let sgd = Sgd::new(SgdConfig { lr: 0.1, ..Default::default() }).unwrap();
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).optimizer(sgd)
}

/// Counts what it is told.
#[derive(Default)]
struct Told {
    starts: usize,
    batches_per_epoch: usize,
    steps: usize,
    epochs: usize,
    checkpoints: usize,
    ends: usize,
}

impl Observer for Told {
    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        self.starts += 1;
        self.batches_per_epoch = start.batches_per_epoch;
        Ok(())
    }

    fn on_step(&mut self, _: &StepEnd) -> Result<()> {
        self.steps += 1;
        Ok(())
    }

    fn on_epoch_end(&mut self, _: &EpochRecord, _: &History) -> Result<()> {
        self.epochs += 1;
        Ok(())
    }

    fn on_checkpoint(&mut self, _: &std::path::Path) -> Result<()> {
        self.checkpoints += 1;
        Ok(())
    }

    fn on_fit_end(&mut self, _: &History) -> Result<()> {
        self.ends += 1;
        Ok(())
    }
}

#[test]
fn a_trial_run_takes_a_few_steps_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let net = Net::new(DType::F32);
    let mut told = Told::default();
    let history = trainer(&net)
        .epochs(7)
        .checkpoints(Checkpoints::new(path("checkpoints")).every_steps(1))
        .resume(true)
        .observer(CsvLog::new(path("log.csv")))
        .observer(JsonLines::new(path("log.jsonl")))
        .observer(HtmlReport::new(path("report.html")))
        .observer(TensorBoard::new(path("events")))
        .observer(&mut told)
        .fast_dev_run(3)
        .fit(&loader(), Some(&Loader::new(dataset(), 2).unwrap()))
        .unwrap();
    assert_eq!(history.epochs.len(), 1);
    let EpochRecord { step, train, val, .. } = &history.epochs[0];
    assert_eq!((*step, train.samples, val.unwrap().samples), (3, 15, 6));
    assert_eq!((told.starts, told.batches_per_epoch, told.steps, told.epochs, told.ends), (1, 3, 3, 1, 1));
    assert_eq!(told.checkpoints, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_trial_run_does_not_go_on_from_checkpoints_nor_touch_them() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = || Checkpoints::new(folder.path()).every_steps(2);
    trainer(&Net::new(DType::F32)).epochs(2).checkpoints(checkpoints()).fit(&loader(), None).unwrap();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    let (trial, plain) = (Net::new(DType::F32), Net::new(DType::F32));
    trainer(&trial).epochs(2).checkpoints(checkpoints()).resume(true).fast_dev_run(9).fit(&loader(), None).unwrap();
    trainer(&plain).fit(&loader(), None).unwrap();
    assert_eq!(trial.bits(), plain.bits(), "one epoch from the start, of fewer batches than the limit");
    assert!(files() == before);
}

/// The values of all inputs that a fit hands to the forward, in training and in evaluation.
fn inputs_of(net: &Net, overfit: Option<usize>, train: &Loader, val: &Loader) -> [Vec<Vec<f32>>; 2] {
    let seen = RefCell::new([Vec::new(), Vec::new()]);
    let forward = |x: &Tensor, mode: &Mode| {
        let values = x.flatten_all().unwrap().to_vec1().unwrap();
        seen.borrow_mut()[usize::from(!mode.is_training())].push(values);
        net.forward(x, mode)
    };
    let mut trainer = Trainer::new(net.vars.clone(), forward).epochs(3);
    if let Some(batches) = overfit {
        trainer = trainer.overfit_batches(batches);
    }
    trainer.fit(train, Some(val)).unwrap();
    drop(trainer);
    seen.into_inner()
}

#[test]
fn a_few_batches_come_again_to_the_bit() {
    let train = loader().transform(RandomVerticalFlip::new(0.5).unwrap()).workers(2);
    let net = Net::new(DType::F32);
    let [plain, _] = inputs_of(&net, None, &train, &train);
    assert_ne!(plain[..5], plain[5..10], "the test needs epochs that differ");
    let [trained, judged] = inputs_of(&net, Some(2), &train, &loader());
    let first = &plain[..2];
    assert_eq!(trained, [first, first, first].concat());
    assert_eq!(judged, trained);
}

#[test]
fn a_few_batches_are_learnt_by_heart() {
    let net = Net::new(DType::F32);
    let history = trainer(&net).epochs(120).overfit_batches(2).fit(&loader(), Some(&loader())).unwrap();
    let last = history.last().unwrap();
    assert_eq!((last.step, last.train.samples), (240, 10));
    assert_eq!(last.val.unwrap().accuracy, Some(1.0));
    assert!(last.val.unwrap().loss < 0.1, "{last:?}");
}

#[test]
fn a_run_on_a_few_batches_is_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let net = Net::new(DType::F32);
    let checkpoints = || Checkpoints::new(folder.path());
    trainer(&net).checkpoints(checkpoints()).fit(&loader(), None).unwrap();
    let mut other = trainer(&net).checkpoints(checkpoints()).resume(true).overfit_batches(2);
    let error = other.fit(&loader(), None).unwrap_err().to_string();
    assert!(error.contains("loader order was shuffled and is shuffled, the first 2 batches, of the first epoch alone"));
}

#[test]
fn a_validation_that_cannot_work_ends_the_fit_before_its_first_step() {
    let net = Net::new(DType::F32);
    let before = net.bits();
    let narrow = InMemoryDataset::new(vec![0.5; 72], &[2, 6, 3], vec![0, 1]).unwrap();
    let mut told = Told::default();
    let mut trainer = trainer(&net).observer(&mut told).sanity_validation(1);
    let error = trainer.fit(&loader(), Some(&Loader::new(narrow, 1).unwrap())).unwrap_err();
    assert!(error.to_string().contains("matmul"), "{error}");
    drop(trainer);
    assert_eq!((told.starts, told.steps), (0, 0));
    assert_eq!(before, net.bits());
}

#[test]
fn a_validation_before_the_first_step_leaves_no_trace() {
    let (plain, checked) = (Net::with_batch_norm(DType::F32), Net::with_batch_norm(DType::F32));
    let val = Loader::new(dataset(), 4).unwrap();
    let run = |net: &Net, batches| {
        let calls = RefCell::new(Vec::new());
        let forward = |x: &Tensor, mode: &Mode| {
            calls.borrow_mut().push((mode.is_training(), x.dims()[0]));
            net.forward(x, mode)
        };
        let trainer = Trainer::new(net.vars.clone(), forward).metric(Accuracy::default()).epochs(2);
        let history = trainer.sanity_validation(batches).fit(&loader(), Some(&val)).unwrap();
        (history, calls.into_inner())
    };
    let (history, calls) = run(&plain, 0);
    let (same_history, more_calls) = run(&checked, 3);
    assert_eq!(history, same_history);
    assert_eq!(plain.bits(), checked.bits());
    assert_eq!(more_calls, [&[(false, 4); 3][..], &calls].concat());
}

#[test]
fn none_of_a_thing_is_refused() {
    let net = Net::new(DType::F32);
    let told = |error: taper_trainer::Error| error.to_string();
    let error = trainer(&net).fast_dev_run(0).fit(&loader(), None).unwrap_err();
    assert_eq!(told(error), "fit: fast_dev_run must be at least 1, got 0");
    let error = trainer(&net).overfit_batches(0).fit(&loader(), None).unwrap_err();
    assert_eq!(told(error), "fit: overfit_batches must be at least 1, got 0");
    let error = trainer(&net).fit(&loader().limit_batches(0), None).unwrap_err();
    assert!(told(error).contains("of at least one batch"));
}
