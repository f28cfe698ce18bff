//! A run that is stopped and resumed leaves the very bytes of one that was not: weights, optimiser, history, metrics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Var};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Net, dataset, loader};
use taper_trainer::data::{Loader, MixUp, Normalize, RandomHorizontalFlip, Subset};
use taper_trainer::optim::{
    Adadelta, Adagrad, AdagradConfig, Adam, AdamConfig, AdamW, AdamWConfig, Lion, Muon, MuonConfig, RmsProp,
    RmsPropConfig, Sgd, SgdConfig,
};
use taper_trainer::schedule::{OneCycle, ReduceOnPlateau, Warmup};
use taper_trainer::{
    Checkpoints, CsvLog, Ema, EpochRecord, Error, FitStart, History, JsonLines, Observer, Result, SkippedCheckpoint,
    StepEnd, Trainer,
};

const EPOCHS: usize = 4;

/// Stops a fit after a step, as a crash would: the trainer and its variables are thrown away.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if step.step < self.0 {
            return Ok(());
        }
        Err(Error::Candle(candle_core::Error::Msg("stopped".to_owned())))
    }
}

/// What a fit found when it started.
#[derive(Default)]
struct Seen {
    from: Option<String>,
    epoch: usize,
    batch: usize,
    skipped: Vec<SkippedCheckpoint>,
}

impl Observer for Seen {
    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        let resume = start.resume.unwrap();
        self.from = resume.from.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        (self.epoch, self.batch, self.skipped) = (start.epoch, start.batch, resume.skipped.to_vec());
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sgd,
    Adam,
    AdamW,
    RmsProp,
    Adagrad,
    Adadelta,
    Lion,
    Muon,
}

fn trainer<'a>(net: &'a Net, folder: &Path, kind: Kind) -> Trainer<'a> {
    let trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode));
    // Not every optimiser has a momentum to cycle; those have a rate that follows from the epochs before.
    let trainer = if matches!(kind, Kind::Adagrad | Kind::Adadelta) {
        let plateau = ReduceOnPlateau { patience: 0, threshold: 0.2, factor: 0.5, ..ReduceOnPlateau::new(0.05) };
        trainer.schedule(Warmup::new(3, plateau))
    } else {
        let cycle = OneCycle::new(0.05, EPOCHS * loader().batches_per_epoch());
        trainer.schedule(OneCycle { momentum: Some((0.8, 0.9)), ..cycle })
    };
    let trainer = trainer
        .clip_norm(1.0)
        .seed(3)
        .buffers(net.buffers.clone())
        .epochs(EPOCHS)
        .checkpoints(Checkpoints::new(folder).every_steps(3).keep_last(2))
        .observer(CsvLog::new(folder.join("metrics.csv")))
        .observer(JsonLines::new(folder.join("log.jsonl")))
        .resume(true);
    match kind {
        Kind::Sgd => {
            let config = SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 1e-3, ..Default::default() };
            trainer.optimizer(Sgd::new(config).unwrap())
        }
        Kind::Adam => trainer.optimizer(Adam::new(AdamConfig { amsgrad: true, ..Default::default() }).unwrap()),
        Kind::AdamW => {
            let trainer = trainer.ema(Ema::new(0.9).warmup(true)).micro_batch(2);
            let adamw = AdamW::new(AdamWConfig { weight_decay: 0.05, ..Default::default() }).unwrap();
            trainer.optimizer(adamw.no_weight_decay(["*.bias", "bn.*"]))
        }
        Kind::RmsProp => {
            let config = RmsPropConfig { momentum: 0.9, centered: true, eps: 1e-3, ..Default::default() };
            trainer.optimizer(RmsProp::new(config).unwrap())
        }
        Kind::Adagrad => {
            let config = AdagradConfig { lr_decay: 0.1, initial_accumulator_value: 0.1, ..Default::default() };
            trainer.optimizer(Adagrad::new(config).unwrap())
        }
        Kind::Adadelta => trainer.optimizer(Adadelta::default()),
        Kind::Lion => trainer.freeze(["fc.bias"]).clip_value(0.01).optimizer(Lion::default()),
        Kind::Muon => {
            let muon = Muon::new(MuonConfig::default(), AdamWConfig::default()).unwrap();
            trainer.optimizer(muon.adamw_for(["fc.*"]))
        }
    }
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// What a run leaves: its weights and buffers, its history, and every file, which hold the optimiser's state too.
type Outcome = (BTreeMap<String, Vec<u64>>, History, BTreeMap<String, Vec<u8>>);

fn run(folder: &Path, dtype: DType, kind: Kind, threads: usize, observer: impl Observer + Send) -> Result<Outcome> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let net = Net::with_batch_norm(dtype);
        let history = trainer(&net, folder, kind).observer(observer).fit(&loader(), Some(&loader()))?;
        Ok((net.bits(), history, files(folder)))
    })
}

#[test]
fn a_resumed_run_leaves_the_bytes_of_an_uninterrupted_one() {
    for (dtype, kind) in [
        (DType::F32, Kind::Sgd),
        (DType::F32, Kind::Adam),
        (DType::F32, Kind::AdamW),
        (DType::F64, Kind::AdamW),
        (DType::F32, Kind::RmsProp),
        (DType::F32, Kind::Adagrad),
        (DType::F32, Kind::Adadelta),
        (DType::F32, Kind::Lion),
        (DType::F32, Kind::Muon),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let whole = run(folder.path(), dtype, kind, 1, Seen::default()).unwrap();
        assert_eq!(whole.1.epochs.len(), EPOCHS);
        let names: Vec<_> = whole.2.keys().map(String::as_str).collect();
        assert_eq!(names, ["log.jsonl", "metrics.csv", "step-00000018.safetensors", "step-00000020.safetensors"]);
        if matches!(kind, Kind::Adagrad | Kind::Adadelta) {
            assert!(whole.1.epochs[3].lr < 0.05, "the plateau has come: {:?}", whole.1);
        }
        // In pieces of two samples an epoch is fourteen batches, else five.
        let batches: f64 = if matches!(kind, Kind::AdamW) { 14.0 } else { 5.0 };
        assert_eq!(whole.0["bn.num_batches_tracked"], [(4.0 * batches).to_bits()]);
        let checkpoint = safetensors::SafeTensors::deserialize(&whole.2["step-00000020.safetensors"]).unwrap();
        let names = checkpoint.names();
        assert!(names.contains(&"buffer.bn.running_mean"));
        assert_eq!(names.contains(&"ema.bn.weight"), matches!(kind, Kind::AdamW));
        assert!(!names.iter().any(|name| name.contains("optimizer.bn.running")), "{names:?}");

        // In the middle of an epoch, after its end, one step before a checkpoint, before the first one, at an epoch's last
        // step and at the very last.
        for (stop, from, epoch, batch) in [
            (8, Some("step-00000006.safetensors"), 1, 1),
            (11, Some("step-00000010.safetensors"), 2, 0),
            (19, Some("step-00000018.safetensors"), 3, 3),
            (2, None, 0, 0),
            (10, Some("step-00000009.safetensors"), 1, 4),
            (20, Some("step-00000018.safetensors"), 3, 3),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = run(folder.path(), dtype, kind, 2, StopAfter(stop)).unwrap_err();
            assert_eq!(error.to_string(), "stopped");
            let mut seen = Seen::default();
            let resumed = run(folder.path(), dtype, kind, 2, &mut seen).unwrap();
            assert_eq!((seen.from.as_deref(), seen.epoch, seen.batch), (from, epoch, batch));
            assert_eq!(resumed, whole, "{dtype:?} {kind:?} stopped after {stop}");
        }
    }
}

/// Sets a flag after a step, or after the epoch that ends with it.
struct Ask(usize, Arc<AtomicBool>, bool);

impl Observer for Ask {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.1.store(step.step >= self.0 && !self.2, Ordering::Relaxed);
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord, _: &History) -> Result<()> {
        self.1.store(record.step >= self.0 && self.2, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_fit_that_is_asked_to_stop_writes_a_checkpoint_to_go_on_from() {
    let whole = tempfile::tempdir().unwrap();
    let whole = run(whole.path(), DType::F32, Kind::AdamW, 1, Seen::default()).unwrap();
    for (step, with_epoch) in [(1, false), (7, false), (10, false), (10, true), (20, false)] {
        let folder = tempfile::tempdir().unwrap();
        let net = Net::with_batch_norm(DType::F32);
        let flag = Arc::new(AtomicBool::new(false));
        let trainer = trainer(&net, folder.path(), Kind::AdamW).observer(Ask(step, Arc::clone(&flag), with_epoch));
        let error = trainer.stop_when(flag).fit(&loader(), Some(&loader())).unwrap_err();
        let path = folder.path().join(format!("step-{step:08}.safetensors"));
        assert!(matches!(&error, Error::Stopped { step: at, checkpoint: Some(it) } if (*at, it) == (step, &path)));
        let expected =
            format!("stopped after step {step}, as asked; a fit that resumes goes on from {}", path.display());
        assert_eq!(error.to_string(), expected);
        let mut seen = Seen::default();
        assert_eq!(run(folder.path(), DType::F32, Kind::AdamW, 2, &mut seen).unwrap(), whole);
        assert_eq!(seen.from, Some(format!("step-{step:08}.safetensors")));
    }
    // What is done by then is not stopped.
    let folder = tempfile::tempdir().unwrap();
    let net = Net::with_batch_norm(DType::F32);
    let flag = Arc::new(AtomicBool::new(false));
    let trainer = trainer(&net, folder.path(), Kind::AdamW).observer(Ask(20, Arc::clone(&flag), true));
    assert_eq!(trainer.stop_when(flag).fit(&loader(), Some(&loader())).unwrap(), whole.1);
}

#[test]
fn a_second_fit_goes_on_from_memory() {
    let [one, two] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let whole = run(one.path(), DType::F32, Kind::AdamW, 1, Seen::default()).unwrap();
    let net = Net::with_batch_norm(DType::F32);
    let mut trainer = trainer(&net, two.path(), Kind::AdamW).epochs(2);
    assert_eq!(trainer.fit(&loader(), Some(&loader())).unwrap().epochs.len(), 2);
    let history = trainer.epochs(EPOCHS).fit(&loader(), Some(&loader())).unwrap();
    assert_eq!((net.bits(), history, files(two.path())), whole);
}

#[test]
fn a_finished_run_that_is_resumed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(folder.path(), DType::F32, Kind::Sgd, 1, Seen::default()).unwrap();
    assert_eq!(run(folder.path(), DType::F32, Kind::Sgd, 1, Seen::default()).unwrap(), whole);
}

#[test]
fn another_configuration_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), DType::F32, Kind::Sgd, 1, StopAfter(8)).unwrap_err();
    let before = files(folder.path());
    let refused = |change: &dyn Fn(Trainer<'_>) -> Result<History>, dtype, kind| {
        let net = Net::with_batch_norm(dtype);
        let error = change(trainer(&net, folder.path(), kind)).unwrap_err();
        assert!(matches!(error, Error::ConfigurationChanged { .. }), "{error}");
        assert_eq!(net.bits(), Net::with_batch_norm(dtype).bits());
        assert_eq!(files(folder.path()), before);
        error.to_string()
    };
    let fit = |mut trainer: Trainer<'_>| trainer.fit(&loader(), Some(&loader()));
    let message = refused(&|trainer| fit(trainer.seed(4)), DType::F32, Kind::Sgd);
    assert!(
        message.ends_with("step-00000006.safetensors: seed was 3 and is 4; restore the configuration, or start anew")
    );
    let message = refused(&|trainer| fit(trainer.clip_norm(2.0)), DType::F32, Kind::Sgd);
    assert!(message.contains("clip_norm was 1 and is 2;"), "{message}");
    let message = refused(&|trainer| fit(trainer.ema(Ema::new(0.9))), DType::F32, Kind::Sgd);
    assert!(message.contains("ema was none and is Ema { decay: 0.9, warmup: false };"), "{message}");
    let message = refused(&|trainer| fit(trainer.micro_batch(3)), DType::F32, Kind::Sgd);
    assert!(message.contains("micro_batch was none and is 3;"), "{message}");
    let message = refused(&|trainer| fit(trainer.clip_value(3.0)), DType::F32, Kind::Sgd);
    assert!(message.contains("clip_value was none and is 3;"), "{message}");
    let message = refused(&|trainer| fit(trainer.freeze(["conv.*"])), DType::F32, Kind::Sgd);
    assert!(message.contains("frozen was [] and is [Pattern(\"conv.*\")];"), "{message}");
    let message = refused(&fit, DType::F32, Kind::AdamW);
    assert!(message.contains("optimizer was SgdConfig { lr: 0.001,"), "{message}");
    assert!(message.contains("and is AdamWConfig"), "{message}");
    let message = refused(&fit, DType::F64, Kind::Sgd);
    assert!(message.contains("parameter conv.weight was f32 [4, 2, 3, 2] and is f64 [4, 2, 3, 2];"), "{message}");
    let buffers = |change: &dyn Fn(&mut BTreeMap<String, Var>)| {
        let mut buffers = Net::with_batch_norm(DType::F32).buffers;
        change(&mut buffers);
        refused(&|trainer| fit(trainer.buffers(buffers.clone())), DType::F32, Kind::Sgd)
    };
    let message = buffers(&|buffers| drop(buffers.remove("bn.running_var")));
    assert!(
        message
            .ends_with(": buffer bn.running_var was f32 [4] and is absent; restore the configuration, or start anew")
    );
    let zeros = |dims: usize| Var::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let message = buffers(&|buffers| drop(buffers.insert("ema".to_owned(), zeros(2))));
    assert!(message.contains(": buffer ema was absent and is f32 [2];"), "{message}");
    let message = buffers(&|buffers| drop(buffers.insert("bn.running_mean".to_owned(), zeros(5))));
    assert!(message.contains(": buffer bn.running_mean was f32 [4] and is f32 [5];"), "{message}");
    let other = Loader::new(dataset(), 6).unwrap().seed(7).shuffle(true);
    let message = refused(&|mut trainer| trainer.fit(&other, None), DType::F32, Kind::Sgd);
    assert!(message.contains("loader batch_size was 5 and is 6;"), "{message}");
    let other = loader().seed(8);
    let message = refused(&|mut trainer| trainer.fit(&other, None), DType::F32, Kind::Sgd);
    assert!(message.contains("loader seed was 7 and is 8;"), "{message}");
    let other = loader().transform(RandomHorizontalFlip::new(0.5).unwrap());
    let message = refused(&|mut trainer| trainer.fit(&other, Some(&loader())), DType::F32, Kind::Sgd);
    assert!(message.contains(": loader transforms was [] and is [RandomHorizontalFlip { p: 0.5 }];"), "{message}");
    let other = loader().batch_transform(MixUp::new(0.2, 3).unwrap());
    let message = refused(&|mut trainer| trainer.fit(&other, Some(&loader())), DType::F32, Kind::Sgd);
    assert!(
        message.contains(": loader batch_transforms was [] and is [MixUp { alpha: 0.2, classes: 3 }];"),
        "{message}"
    );
}

#[test]
fn another_validation_set_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), DType::F32, Kind::Adagrad, 1, StopAfter(8)).unwrap_err();
    let refused = |val: Option<&Loader>| {
        let net = Net::with_batch_norm(DType::F32);
        let error = trainer(&net, folder.path(), Kind::Adagrad).fit(&loader(), val).unwrap_err();
        assert!(matches!(error, Error::ConfigurationChanged { .. }), "{error}");
        error.to_string()
    };
    let fewer = Loader::new(Subset::new(dataset(), (0..20).collect()).unwrap(), 5).unwrap().seed(7).shuffle(true);
    let message = refused(Some(&fewer));
    assert!(message.contains(": validation samples was 23 and is 20;"), "{message}");
    let message = refused(Some(&loader().transform(Normalize::new(&[0.0; 2], &[0.5; 2]).unwrap())));
    assert!(message.contains(": validation transforms was [] and is [Normalize {"), "{message}");
    let message = refused(None);
    assert!(message.contains("; validation samples was 23 and is absent;"), "{message}");
}

#[test]
fn a_torn_checkpoint_is_passed_over_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let reference = tempfile::tempdir().unwrap();
    let whole = run(reference.path(), DType::F32, Kind::AdamW, 1, Seen::default()).unwrap();
    run(folder.path(), DType::F32, Kind::AdamW, 1, StopAfter(11)).unwrap_err();
    let newest = folder.path().join("step-00000010.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
    fs::write(folder.path().join("step-00000012.safetensors"), b"not a checkpoint").unwrap();
    fs::write(folder.path().join("step-00000012.safetensors.tmp"), b"half of one").unwrap();
    fs::write(folder.path().join("step-by-step.safetensors"), b"of someone else").unwrap();

    let mut seen = Seen::default();
    let (weights, history, mut files) = run(folder.path(), DType::F32, Kind::AdamW, 1, &mut seen).unwrap();
    assert_eq!(seen.from.as_deref(), Some("step-00000009.safetensors"));
    let skipped: Vec<_> =
        seen.skipped.iter().map(|skipped| skipped.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(skipped, ["step-00000012.safetensors", "step-00000010.safetensors"]);
    assert!(seen.skipped.iter().all(|skipped| !skipped.reason.is_empty()));
    assert_eq!(files.remove("step-by-step.safetensors").as_deref(), Some(&b"of someone else"[..]));
    assert_eq!((weights, history, files), whole);
}

/// Lets the checkpoint of a step find the disk full.
#[cfg(target_os = "linux")]
struct FillDisk<'a>(usize, &'a Path);

#[cfg(target_os = "linux")]
impl Observer for FillDisk<'_> {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if step.step == self.0 {
            let temporary = self.1.join(format!("step-{:08}.safetensors.tmp", step.step));
            std::os::unix::fs::symlink("/dev/full", temporary).unwrap();
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(folder.path(), DType::F32, Kind::AdamW, 1, Seen::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = run(folder.path(), DType::F32, Kind::AdamW, 1, FillDisk(9, folder.path())).unwrap_err();
    let full = folder.path().join("step-00000009.safetensors");
    let Error::Io { action: "write", path, source } = &error else { panic!("{error}") };
    assert_eq!((path, source.kind()), (&full, std::io::ErrorKind::StorageFull));
    let left = files(folder.path());
    let names: Vec<_> = left.keys().map(String::as_str).collect();
    assert_eq!(names, ["log.jsonl", "metrics.csv", "step-00000005.safetensors", "step-00000006.safetensors"]);
    assert_eq!(run(folder.path(), DType::F32, Kind::AdamW, 1, Seen::default()).unwrap(), whole);
}
