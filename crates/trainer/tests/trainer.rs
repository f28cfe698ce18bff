//! The loop: evaluation over uneven batches, prediction, modes, refusals, and what observers are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use support::{Net, dataset, loader};
use taper_ops::optim::global_norm;
use taper_ops::{CrossEntropySpec, Draw, Mode, cross_entropy};
use taper_trainer::data::{InMemoryDataset, Loader};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::schedule::CosineAnnealing;
use taper_trainer::{
    Accuracy, Checkpoints, CsvLog, EpochRecord, Error, History, Metric, Observer, Progress, Result, StepEnd, Trainer,
};

fn sgd(lr: f64) -> Sgd {
    Sgd::new(SgdConfig { lr, ..Default::default() }).unwrap()
}

fn trainer(net: &Net) -> Trainer<'_> {
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).optimizer(sgd(0.1))
}

fn whole_batch() -> (Tensor, Tensor) {
    let batch = Loader::new(dataset(), 23).unwrap().epoch(0, 0).next().unwrap().unwrap();
    (batch.inputs, batch.targets)
}

#[test]
fn evaluation_over_uneven_batches_is_that_of_one_batch() {
    let net = Net::new(DType::F64);
    let (inputs, targets) = whole_batch();
    let logits = net.forward(&inputs, &Mode::eval()).unwrap();
    let loss = cross_entropy(&logits, &targets, &CrossEntropySpec::default()).unwrap().to_scalar::<f64>().unwrap();
    let predicted: Vec<u32> = logits.argmax(1).unwrap().to_vec1().unwrap();
    let hits = predicted.iter().zip(targets.to_vec1::<u32>().unwrap()).filter(|(p, t)| **p == *t).count();
    assert!(hits > 0 && hits < 23, "the test needs right and wrong predictions, {hits} are right");

    for batch_size in [1, 5, 22, 23, 100] {
        let metrics = trainer(&net).evaluate(&Loader::new(dataset(), batch_size).unwrap()).unwrap().overall;
        assert!((metrics.loss - loss).abs() < 1e-12, "batch size {batch_size}: {} for {loss}", metrics.loss);
        assert_eq!(metrics.accuracy, Some(hits as f64 / 23.0));
        assert_eq!(metrics.samples, 23);
    }
}

#[test]
fn prediction_is_in_evaluation_mode_in_order_and_free_of_the_graph() {
    let net = Net::new(DType::F64);
    let (inputs, _) = whole_batch();
    let trainer = trainer(&net);
    let one = trainer.predict(&inputs).unwrap();
    let all = trainer.predict_all(&Loader::new(dataset(), 4).unwrap()).unwrap();
    assert_eq!(one.dims(), [23, 3]);
    assert!(!one.track_op() && !all.track_op());
    let difference = (&one - &all).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(difference < 1e-12, "{difference}");
    assert_eq!(trainer.predict(&inputs).unwrap().to_vec2::<f64>().unwrap(), one.to_vec2::<f64>().unwrap());
}

#[test]
fn the_seed_decides_what_training_draws() {
    let run = |seed| {
        let net = Net::new(DType::F32);
        trainer(&net).seed(seed).epochs(2).fit(&loader(), None).unwrap();
        net.bits()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn each_step_draws_for_itself_and_evaluation_does_not() {
    let net = Net::new(DType::F32);
    let draws = RefCell::new(Vec::new());
    let forward = |x: &Tensor, mode: &Mode| {
        draws.borrow_mut().push(mode.draw());
        net.forward(x, &Mode::eval())
    };
    let loader = Loader::new(dataset(), 10).unwrap();
    let mut trainer = Trainer::new(net.vars.clone(), forward).seed(9).epochs(2);
    trainer.fit(&loader, Some(&loader)).unwrap();
    let train = |step| Some(Draw { seed: 9, step, layer: 0, first_sample: 0 });
    let expected = [train(0), train(1), train(2), None, None, None, train(3), train(4), train(5), None, None, None];
    assert_eq!(*draws.borrow(), expected);
}

#[test]
fn gradients_are_clipped_by_the_norm_of_all_of_them_together() {
    let step = |max_norm: f64| {
        let net = Net::new(DType::F64);
        let before: Vec<Tensor> = net.vars.values().map(|var| var.copy().unwrap()).collect();
        let one_step = Loader::new(dataset(), 23).unwrap();
        trainer(&net).optimizer(sgd(1.0)).clip_norm(max_norm).fit(&one_step, None).unwrap();
        let moved: Vec<Tensor> =
            net.vars.values().zip(&before).map(|(var, before)| (before - &**var).unwrap()).collect();
        global_norm(&moved).unwrap()
    };
    let free = step(f64::INFINITY);
    assert!(free > 0.01, "{free}");
    assert!((step(0.5 * free) - 0.5 * free).abs() < 1e-4 * free);
    assert!((step(2.0 * free) - free).abs() < 1e-12);
}

#[test]
fn it_learns_and_says_so() {
    let net = Net::new(DType::F32);
    let schedule = CosineAnnealing { max_lr: 0.2, min_lr: 0.001, total_steps: 60 };
    let mut out = Vec::new();
    let mut trainer =
        trainer(&net).schedule(schedule).epochs(12).clip_norm(5.0).observer(Progress::to_writer(&mut out));
    let history = trainer.fit(&loader(), Some(&loader())).unwrap();
    let (first, last) = (&history.epochs[0], history.last().unwrap());
    assert_eq!((last.epoch, last.step), (12, 60));
    assert!((last.lr - taper_trainer::Schedule::rates(&schedule, 59, &[]).lr).abs() < 1e-15);
    assert!(last.val.unwrap().loss < 0.5 * first.train.loss, "{first:?} {last:?}");
    assert_eq!(last.val, Some(trainer.evaluate(&loader()).unwrap().overall));
    drop(trainer);

    let lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 12, "{lines:?}");
    assert!(lines[0].starts_with(&format!("epoch  1/12  train {}  val {}  ", first.train, first.val.unwrap())));
    assert!(lines[0].ends_with(" s"));
}

#[test]
fn a_loss_that_is_not_finite_ends_the_fit_before_the_step() {
    let net = Net::new(DType::F32);
    let calls = Cell::new(0);
    let loss = |logits: &Tensor, targets: &Tensor| {
        calls.set(calls.get() + 1);
        let loss = cross_entropy(logits, targets, &CrossEntropySpec::default())?;
        if calls.get() == 8 { loss * f64::NAN } else { Ok(loss) }
    };
    let weights = Cell::new(BTreeMap::new());
    let remember = |_: &StepEnd| weights.set(net.bits());
    let error = trainer(&net).loss(loss).epochs(3).observer(OnStep(remember)).fit(&loader(), None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { what: "loss", epoch: 2, step: 8, .. }), "{error}");
    assert!(error.to_string().starts_with("the loss is NaN at step 8 (epoch 2); lower the learning rate"), "{error}");
    assert_eq!(net.bits(), weights.take());
}

struct OnStep<F>(F);

impl<F: Fn(&StepEnd)> Observer for OnStep<F> {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        (self.0)(step);
        Ok(())
    }
}

#[test]
fn only_variables_with_a_gradient_are_stepped() {
    let net = Net::new(DType::F32);
    let mut vars = net.vars.clone();
    vars.remove("fc.bias");
    vars.insert("unused".to_owned(), Var::new(&[1f32, 2.], &Device::Cpu).unwrap());
    let before = net.bits();
    let mut trainer = Trainer::new(vars.clone(), |x, mode| net.forward(x, mode)).optimizer(sgd(0.1));
    trainer.fit(&loader(), None).unwrap();
    let after = net.bits();
    assert_eq!(before["fc.bias"], after["fc.bias"], "a variable that the trainer was not given");
    assert_ne!(before["fc.weight"], after["fc.weight"]);
    assert_eq!(vars["unused"].to_vec1::<f32>().unwrap(), [1.0, 2.0]);

    let vars = BTreeMap::from([("unused".to_owned(), vars["unused"].clone())]);
    let error = Trainer::new(vars, |x, mode| net.forward(x, mode)).fit(&loader(), None).unwrap_err();
    assert!(error.to_string().contains("a function of at least one variable"), "{error}");
}

#[test]
fn what_makes_no_run_is_refused() {
    let net = Net::new(DType::F32);
    let empty = Loader::new(InMemoryDataset::new(Vec::new(), &[2, 6, 5], Vec::new()).unwrap(), 5).unwrap();
    for error in [
        trainer(&net).fit(&empty, None).unwrap_err(),
        trainer(&net).fit(&loader(), Some(&empty)).unwrap_err(),
        trainer(&net).evaluate(&empty).unwrap_err(),
        trainer(&net).predict_all(&empty).unwrap_err(),
    ] {
        assert!(error.to_string().contains("loader must be of at least one batch"), "{error}");
    }
    let error = trainer(&net).clip_norm(0.0).fit(&loader(), None).unwrap_err();
    assert_eq!(error.to_string(), "fit: clip_norm must be positive, got 0");
    let schedule = CosineAnnealing { max_lr: -1.0, min_lr: 0.0, total_steps: 9 };
    assert!(trainer(&net).schedule(schedule).fit(&loader(), None).unwrap_err().to_string().contains("max_lr"));
    let error = trainer(&net).loss(|logits, _| logits.sum(0)).fit(&loader(), None).unwrap_err();
    assert_eq!(error.to_string(), "Trainer: loss must be a scalar, got shape [3]");
}

#[test]
fn accuracy_counts_positions_and_leaves_probabilities_out() {
    let device = Device::Cpu;
    let mut accuracy = Accuracy::default();
    assert_eq!(accuracy.value(), None);
    // [N = 1, C = 2, 3 positions]; of equal logits the first class is the prediction.
    let logits = Tensor::new(&[[[1f64, 0., 5.], [1., 2., 3.]]], &device).unwrap();
    accuracy.update(&logits, &Tensor::new(&[[0i64, 1, 1]], &device).unwrap(), 0.5).unwrap();
    assert_eq!((accuracy.correct, accuracy.total), (2, 3));
    accuracy.update(&logits, &logits, 0.5).unwrap();
    assert_eq!(accuracy.total, 3);
    let error = accuracy.update(&logits, &Tensor::new(&[0u32], &device).unwrap(), 0.5).unwrap_err();
    assert!(error.to_string().contains("targets must be [N, …]"), "{error}");
}

/// Writes down what it is told.
#[derive(Default)]
struct Diary(Vec<String>);

impl Observer for Diary {
    fn on_fit_start(&mut self, start: &taper_trainer::FitStart<'_>) -> Result<()> {
        assert!(start.resume.is_none());
        self.0.push(format!("start {} x {}", start.epochs, start.batches_per_epoch));
        Ok(())
    }

    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.0.push(format!("step {} ({} of {}): {}", step.step, step.batch, step.epoch, step.samples));
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, history: &History) -> Result<()> {
        assert_eq!(history.last(), Some(record));
        self.0.push(format!("epoch {}", record.epoch));
        Ok(())
    }

    fn on_checkpoint(&mut self, path: &std::path::Path) -> Result<()> {
        self.0.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        Ok(())
    }

    fn on_fit_end(&mut self, history: &History) -> Result<()> {
        self.0.push(format!("end {}", history.epochs.len()));
        Ok(())
    }
}

#[test]
fn observers_are_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let net = Net::new(DType::F32);
    let mut diary = Diary::default();
    let loader = Loader::new(dataset(), 10).unwrap();
    let checkpoints = Checkpoints::new(folder.path()).every_epoch(false).every_steps(2);
    trainer(&net).epochs(2).checkpoints(checkpoints).observer(&mut diary).fit(&loader, None).unwrap();
    let expected = "start 2 x 3, step 1 (1 of 1): 10, step 2 (2 of 1): 10, step-00000002, step 3 (3 of 1): 3, epoch 1, \
                    step 4 (1 of 2): 10, step-00000004, step 5 (2 of 2): 10, step 6 (3 of 2): 3, epoch 2, step-00000006, end 2";
    assert_eq!(diary.0.join(", "), expected);
}

#[test]
fn progress_tells_of_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let mut run = |epochs| {
        let net = Net::new(DType::F32);
        let mut trainer = trainer(&net)
            .epochs(epochs)
            .checkpoints(Checkpoints::new(folder.path()))
            .resume(true)
            .observer(Progress::to_writer(&mut out));
        trainer.fit(&loader(), None).unwrap();
    };
    run(1);
    fs::write(folder.path().join("step-00000007.safetensors"), "torn").unwrap();
    run(2);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(lines[0], format!("no checkpoint to resume from in {}: starting anew", folder.path().display()));
    assert!(lines[1].starts_with("epoch  1/1  train loss "), "{text}");
    assert!(lines[2].starts_with(&format!("skipped {}: ", path("step-00000007.safetensors"))), "{text}");
    let resuming = format!("resuming from {} (epoch 2, batch 0 of 5)", path("step-00000005.safetensors"));
    assert_eq!(lines[3], resuming);
    assert!(lines[4].starts_with("epoch  2/2  train loss "), "{text}");
}

#[test]
fn the_csv_has_a_row_an_epoch_that_reads_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let net = Net::new(DType::F32);
    let history = trainer(&net).epochs(3).observer(CsvLog::new(&path)).fit(&loader(), None).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy");
    assert_eq!(lines.len(), 4);
    for (line, record) in lines[1..].iter().zip(&history.epochs) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[..3], [record.epoch.to_string(), record.step.to_string(), "0.1".to_owned()]);
        assert_eq!(fields[3].parse::<f64>().unwrap().to_bits(), record.train.loss.to_bits());
        assert_eq!(fields[4].parse::<f64>().ok(), record.train.accuracy);
        assert_eq!(fields[5..], ["", ""]);
    }
}

#[test]
fn the_csv_has_a_column_for_each_further_metric() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let train = taper_trainer::Metrics { loss: 0.5, accuracy: None, samples: 4 };
    let record = |epoch: usize, metrics: [(&str, Option<f64>); 2]| {
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        EpochRecord { epoch, step: 2 * epoch, lr: 0.1, train, val: Some(train), metrics }
    };
    let history = History {
        epochs: vec![
            record(1, [("f1_macro", Some(0.1)), ("a, \"b\"", None)]),
            record(2, [("f1_macro", Some(0.25)), ("auroc", Some(1.0))]),
        ],
    };
    CsvLog::new(&path).on_epoch_end(&history.epochs[1], &history).unwrap();
    let expected = "epoch,step,lr,train_loss,train_accuracy,val_loss,val_accuracy,\"val_a, \"\"b\"\"\",val_auroc,val_f1_macro\n\
                    1,2,0.1,0.5,,0.5,,,,0.1\n2,4,0.1,0.5,,0.5,,,1,0.25\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    let mut out = Vec::new();
    Progress::to_writer(&mut out).on_epoch_end(&history.epochs[0], &history).unwrap();
    let line = String::from_utf8(out).unwrap();
    assert!(line.contains("val loss 0.5000, a, \"b\" undefined, f1_macro 0.1000  "), "{line}");
}
