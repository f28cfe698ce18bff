//! Mixed precision: what masters keep, what the loss scale saves, steps that overflow, and resumes to the bit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use support::{Net, loader};
use taper_ops::{ConvSpec, MaxPoolSpec, Mode, conv2d, dropout, linear, max_pool2d, relu};
use taper_trainer::optim::{Adam, AdamConfig, Sgd, SgdConfig};
use taper_trainer::{Checkpoints, Ema, Error, LossScale, LrFinder, Observer, Result, StepEnd, Trainer};

/// The support file's network in half precision, by operators that all take it, with logits of float32.
fn forward(net: &Net, dtype: DType, x: &Tensor, mode: &Mode) -> candle_core::Result<Tensor> {
    let x = x.to_dtype(dtype)?;
    let x = relu(&conv2d(&x, &net.vars["conv.weight"], Some(&net.vars["conv.bias"]), &ConvSpec::default())?)?;
    let x = max_pool2d(&x, &MaxPoolSpec::new([1, 2]))?.flatten_from(1)?;
    let x = match mode.draw() {
        Some(draw) => dropout(&x, 0.3, draw)?,
        None => x,
    };
    linear(&x, &net.vars["fc.weight"].t()?, Some(&net.vars["fc.bias"]))?.to_dtype(DType::F32)
}

fn sgd(lr: f64) -> Sgd {
    Sgd::new(SgdConfig { lr, ..Default::default() }).unwrap()
}

fn trainer(net: &Net, dtype: DType, scale: LossScale) -> Trainer<'_> {
    let trainer = Trainer::new(net.vars.clone(), move |x, mode| forward(net, dtype, x, mode));
    trainer.optimizer(sgd(0.1)).mixed_precision(scale).seed(3)
}

#[test]
fn masters_keep_what_half_precision_would_lose() {
    // Of bfloat16 the number below 1 is 1 − 2⁻⁸: a step of a thousandth is lost to it, ten of them are not.
    let weight = Var::ones(2, DType::BF16, &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let train = loader().limit_batches(1);
    let forward = |x: &Tensor, _: &Mode| weight.to_dtype(DType::F32)?.broadcast_as((x.dims()[0], 2));
    let trainer = Trainer::new(vars, forward).loss(|y, _| y.sum_all()? * (1e-3 / 5.0)).optimizer(sgd(1.0));
    let mut trainer = trainer.mixed_precision(LossScale::constant(1.0)).epochs(1);
    let value = || weight.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    trainer.fit(&train, None).unwrap();
    assert_eq!(value(), [1.0, 1.0]);
    trainer.epochs(10).fit(&train, None).unwrap();
    assert_eq!(value(), [0.98828125, 0.98828125]);
}

#[test]
fn a_scale_of_a_power_of_two_changes_no_bit_where_nothing_is_lost() {
    let run = |scale: f64| {
        let net = Net::new(DType::F16);
        trainer(&net, DType::F16, LossScale::constant(scale)).epochs(3).micro_batch(3).fit(&loader(), None).unwrap();
        net.bits()
    };
    assert_eq!(run(1024.0), run(4096.0));
    assert_ne!(run(1024.0), run(1.0 / 256.0), "gradients that small are lost without a scale");
}

#[test]
fn half_precision_learns_what_float32_learns() {
    let full = Net::new(DType::F32);
    let reference = Trainer::new(full.vars.clone(), |x, mode| forward(&full, DType::F32, x, mode));
    let mut reference = reference.optimizer(sgd(0.1)).seed(3).epochs(10);
    let expected = reference.fit(&loader(), Some(&loader())).unwrap();
    let (first, last) = (expected.epochs[0].train.loss, expected.last().unwrap().val.unwrap().loss);
    assert!(last < 0.6 * first, "the test needs a run that learns: {first} {last}");
    for (dtype, scale, bound) in
        [(DType::BF16, LossScale::constant(1.0), 0.05), (DType::F16, LossScale::default(), 0.01)]
    {
        let net = Net::new(dtype);
        let history = trainer(&net, dtype, scale).epochs(10).fit(&loader(), Some(&loader())).unwrap();
        let loss = history.last().unwrap().val.unwrap().loss;
        assert!((loss - last).abs() < bound * first, "{dtype:?}: {loss} for {last}");
        assert!(net.vars.values().all(|var| var.dtype() == dtype));
    }
}

/// What a step leaves: the bits of the weights.
struct Weights<'a>(&'a Net, &'a RefCell<Vec<BTreeMap<String, Vec<u64>>>>);

impl Observer for Weights<'_> {
    fn on_step(&mut self, _: &StepEnd) -> Result<()> {
        self.1.borrow_mut().push(self.0.bits());
        Ok(())
    }
}

#[test]
fn steps_that_overflow_are_left_out_until_the_scale_fits_and_it_grows_again() {
    let net = Net::new(DType::F16);
    let before = net.bits();
    let steps = RefCell::new(Vec::new());
    let scale = LossScale { initial: 2f64.powi(30), interval: 6, ..LossScale::default() };
    let mut trainer = trainer(&net, DType::F16, scale).epochs(8).observer(Weights(&net, &steps));
    assert_eq!(trainer.loss_scale(), Some(2f64.powi(30)));
    trainer.fit(&loader(), None).unwrap();
    let last = trainer.loss_scale().unwrap();
    drop(trainer);
    let steps = steps.into_inner();
    assert_eq!(steps.len(), 40);
    let skipped = steps.iter().take_while(|bits| **bits == before).count();
    assert!((8..25).contains(&skipped), "{skipped}");
    assert!(steps[skipped..].windows(2).filter(|two| two[0] == two[1]).count() < 8, "most steps are taken");
    // Where the scale fitted first, and where it went from there by sixes.
    let fitted = 2f64.powi(30 - skipped as i32);
    assert!(last >= fitted / 2.0 && last <= 64.0 * fitted, "{last} from {fitted}");
    assert_ne!(steps[39], before);

    let net = Net::new(DType::F16);
    let scale = LossScale { initial: 16.0, interval: 6, growth: 4.0, ..LossScale::default() };
    let mut trainer = self::trainer(&net, DType::F16, scale).epochs(2);
    trainer.fit(&loader(), None).unwrap();
    assert_eq!(trainer.loss_scale(), Some(64.0), "after six of ten steps");
}

#[test]
fn a_gradient_that_no_scale_mends_ends_the_fit() {
    let net = Net::new(DType::F16);
    let calls = Cell::new(0);
    let loss = |logits: &Tensor, _: &Tensor| {
        calls.set(calls.get() + 1);
        // The root of 0 has the value 0 and an infinite slope.
        (logits - logits.detach())?.abs()?.sqrt()?.mean_all()
    };
    let error = trainer(&net, DType::F16, LossScale::default()).loss(loss).epochs(9).fit(&loader(), None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { what: "gradients' norm", step: 33, .. }), "{error}");
    assert_eq!(calls.get(), 33, "from 2¹⁶ to 2⁻¹⁶");
}

fn with_all(net: &Net, scale: LossScale) -> Trainer<'_> {
    let adam = Adam::new(AdamConfig { lr: 0.01, ..Default::default() }).unwrap();
    trainer(net, DType::F16, scale).optimizer(adam).ema(Ema::new(0.9)).micro_batch(3).clip_norm(1.0)
}

/// Trains to the end of so many epochs, from the newest checkpoint in the folder on.
fn resume(folder: &std::path::Path, epochs: usize) {
    let scale = LossScale { initial: 2f64.powi(26), interval: 4, ..LossScale::default() };
    let net = Net::new(DType::F16);
    let checkpoints = Checkpoints::new(folder).every_steps(3).keep_last(100);
    let mut trainer = with_all(&net, scale).checkpoints(checkpoints).resume(true).epochs(epochs);
    trainer.fit(&loader(), Some(&loader())).unwrap();
}

#[test]
fn a_run_resumes_to_the_bit_with_its_scale_and_masters() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    resume(whole.path(), 6);
    // From within the second epoch, where steps are still left out, and from within the fourth.
    for (epochs, last) in [(2, 9), (4, 18), (6, 30)] {
        resume(parts.path(), epochs);
        for entry in fs::read_dir(parts.path()).unwrap() {
            let path = entry.unwrap().path();
            if path > parts.path().join(format!("step-{last:08}.safetensors")) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    let last = |folder: &tempfile::TempDir| fs::read(folder.path().join("step-00000030.safetensors")).unwrap();
    assert!(last(&whole) == last(&parts));
}

#[test]
fn searches_and_checks_leave_no_trace_and_averages_are_of_the_masters() {
    let scale = LossScale { initial: 2f64.powi(20), interval: 3, ..LossScale::default() };
    let run = |trials: bool| {
        let net = Net::new(DType::F16);
        let mut trainer = with_all(&net, scale).epochs(2);
        if trials {
            trainer.check_determinism(&loader()).unwrap();
            trainer.find_lr(&loader(), &LrFinder { steps: 9, ..Default::default() }).unwrap();
        }
        let history = trainer.fit(&loader(), Some(&loader())).unwrap();
        if trials {
            trainer.check_determinism(&loader()).unwrap();
        }
        assert_eq!(history.last().unwrap().val, Some(trainer.evaluate(&loader()).unwrap().overall));
        let trained = net.bits();
        trainer.apply_ema().unwrap();
        assert_ne!(trained, net.bits());
        assert_eq!(history.last().unwrap().val, Some(trainer.evaluate(&loader()).unwrap().overall));
        (history, trained, net.bits())
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn weights_that_are_replaced_between_two_fits_are_trained_on() {
    let net = Net::new(DType::F16);
    let mut trainer = trainer(&net, DType::F16, LossScale::constant(64.0));
    trainer.fit(&loader(), None).unwrap();
    let zeros = net.vars["fc.weight"].zeros_like().unwrap();
    net.vars["fc.weight"].set(&zeros).unwrap();
    let mut trainer = trainer.optimizer(sgd(1e-9)).epochs(2);
    trainer.fit(&loader(), None).unwrap();
    let largest = net.vars["fc.weight"].to_dtype(DType::F32).unwrap().abs().unwrap().max_all().unwrap();
    assert!(largest.to_scalar::<f32>().unwrap() < 1e-6, "{largest}");
}

#[test]
fn scales_that_make_no_sense_are_refused() {
    let net = Net::new(DType::F16);
    let told = |scale| trainer(&net, DType::F16, scale).fit(&loader(), None).unwrap_err().to_string();
    assert_eq!(told(LossScale::constant(0.0)), "LossScale: initial must be positive and finite, got 0");
    let error = told(LossScale { growth: 0.5, ..Default::default() });
    assert_eq!(error, "LossScale: growth must be finite and at least 1, got 0.5");
    let error = told(LossScale { backoff: 1.0, ..Default::default() });
    assert_eq!(error, "LossScale: backoff must be between 0 and 1, got 1");
}
