//! What a step does with gradients and weights beside the optimiser: pieces of a batch, freezing, clipping, averages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;
use support::{Net, dataset, loader};
use taper_ops::Mode;
use taper_ops::optim::global_norm;
use taper_trainer::data::Loader;
use taper_trainer::optim::{AdamW, AdamWConfig, Sgd, SgdConfig};
use taper_trainer::{Ema, Error, History, Observer, Result, StepEnd, Trainer};

fn sgd(lr: f64) -> Sgd {
    Sgd::new(SgdConfig { lr, ..Default::default() }).unwrap()
}

fn trainer(net: &Net) -> Trainer<'_> {
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).optimizer(sgd(0.1)).seed(3)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn weights(net: &Net) -> Vec<f64> {
    net.vars.values().flat_map(|var| values(var)).collect()
}

struct OnStep<F>(F);

impl<F: FnMut(&StepEnd)> Observer for OnStep<F> {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        (self.0)(step);
        Ok(())
    }
}

/// Batches of five samples, the last of three, in pieces of `samples`.
fn in_pieces(samples: Option<usize>) -> (Vec<f64>, History) {
    let net = Net::new(DType::F64);
    let mut trainer = trainer(&net).epochs(3).clip_norm(0.5);
    if let Some(samples) = samples {
        trainer = trainer.micro_batch(samples);
    }
    let history = trainer.fit(&loader(), None).unwrap();
    (weights(&net), history)
}

#[test]
fn pieces_of_a_batch_come_to_the_whole_of_it_dropout_included() {
    let (whole, history) = in_pieces(None);
    for samples in [1, 2, 3, 4] {
        let (pieces, their_history) = in_pieces(Some(samples));
        for (ours, theirs) in pieces.iter().zip(&whole) {
            assert!((ours - theirs).abs() <= 1e-12, "pieces of {samples}: {ours} for {theirs}");
        }
        for (ours, theirs) in their_history.epochs.iter().zip(&history.epochs) {
            assert!((ours.train.loss - theirs.train.loss).abs() <= 1e-12);
            assert_eq!((ours.train.accuracy, ours.train.samples), (theirs.train.accuracy, 23));
        }
        let again = in_pieces(Some(samples)).0;
        assert!(again.iter().zip(&pieces).all(|(a, b)| a.to_bits() == b.to_bits()), "the same bits each time");
    }
    for samples in [5, 100] {
        assert_eq!(in_pieces(Some(samples)), (whole.clone(), history.clone()), "a piece that is the whole");
    }
}

#[test]
fn each_piece_knows_which_sample_is_its_first() {
    let net = Net::new(DType::F32);
    let draws = RefCell::new(Vec::new());
    let forward = |x: &Tensor, mode: &Mode| {
        let draw = mode.draw().unwrap();
        draws.borrow_mut().push((draw.step, draw.first_sample, x.dims()[0]));
        net.forward(x, &Mode::eval())
    };
    let loader = Loader::new(dataset(), 20).unwrap();
    Trainer::new(net.vars.clone(), forward).micro_batch(8).fit(&loader, None).unwrap();
    assert_eq!(*draws.borrow(), [(0, 0, 8), (0, 8, 8), (0, 16, 4), (1, 0, 3)]);
}

#[test]
fn frozen_variables_are_as_if_they_were_not_there() {
    let train = |net: &Net, vars: BTreeMap<String, Var>, frozen: &[&str]| {
        let adamw = AdamW::new(AdamWConfig { lr: 0.01, weight_decay: 0.1, ..Default::default() }).unwrap();
        let trainer = Trainer::new(vars, |x, mode| net.forward(x, mode)).optimizer(adamw).clip_norm(0.1).epochs(2);
        trainer.freeze(frozen.iter().copied()).fit(&loader(), None).unwrap();
        net.bits()
    };
    let start = Net::new(DType::F32).bits();
    let net = Net::new(DType::F32);
    let frozen = train(&net, net.vars.clone(), &["conv.*"]);
    for (name, bits) in &frozen {
        assert_eq!(*bits == start[name], name.starts_with("conv."), "{name}");
    }
    let net = Net::new(DType::F32);
    let mut rest = net.vars.clone();
    rest.retain(|name, _| !name.starts_with("conv."));
    assert_eq!(train(&net, rest, &[]), frozen);

    // A tied variable is frozen by any of its names.
    let net = Net::new(DType::F32);
    let mut vars = net.vars.clone();
    vars.insert("tied".to_owned(), net.vars["conv.weight"].clone());
    let tied = train(&net, vars, &["tied"]);
    assert_eq!(tied["conv.weight"], start["conv.weight"]);
    assert_ne!(tied["conv.bias"], start["conv.bias"]);

    let error = trainer(&net).freeze(["conv.*", "head.*"]).fit(&loader(), None).unwrap_err();
    let names = "conv.bias, conv.weight, fc.bias, fc.weight";
    assert_eq!(error.to_string(), format!("freeze: no variable goes by \"head.*\"; there are {names}"));
    let error = trainer(&net).freeze(["*"]).fit(&loader(), None).unwrap_err();
    assert!(error.to_string().contains("must be such that a variable remains to be trained"), "{error}");
}

#[test]
fn gradients_are_clipped_element_by_element_and_then_by_their_norm() {
    let one_step = Loader::new(dataset(), 23).unwrap();
    let moved = |change: &dyn Fn(Trainer<'_>) -> Result<History>| -> Vec<f64> {
        let net = Net::new(DType::F64);
        let before = weights(&net);
        change(trainer(&net).optimizer(sgd(1.0))).unwrap();
        before.iter().zip(weights(&net)).map(|(before, after)| before - after).collect()
    };
    let free = moved(&|mut trainer| trainer.fit(&one_step, None));
    let max = 0.3 * free.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let clipped = moved(&|trainer| trainer.clip_value(max).fit(&one_step, None));
    assert!(free.iter().zip(&clipped).any(|(free, clipped)| (free - clipped).abs() > max));
    for (free, clipped) in free.iter().zip(&clipped) {
        assert!((free.clamp(-max, max) - clipped).abs() < 1e-15, "{clipped} of {free}");
    }
    let norm = |moved: Vec<f64>| global_norm([&Tensor::new(moved, &Device::Cpu).unwrap()]).unwrap();
    let target = 0.5 * norm(clipped);
    let both = norm(moved(&|trainer| trainer.clip_value(max).clip_norm(target).fit(&one_step, None)));
    assert!((both - target).abs() < 1e-5 * target, "{both} for {target}");
}

#[test]
fn the_average_follows_its_formula_and_leaves_training_alone() {
    for ema in [Ema::new(0.9), Ema::new(0.5).warmup(true), Ema::new(0.0)] {
        let net = Net::with_batch_norm(DType::F64);
        let seen = RefCell::new(Vec::new());
        let mut with = trainer(&net)
            .buffers(net.buffers.clone())
            .epochs(2)
            .ema(ema)
            .observer(OnStep(|_: &StepEnd| seen.borrow_mut().push(weights(&net))));
        let history = with.fit(&loader(), Some(&loader())).unwrap();
        let trained = net.bits();

        let mut expected = seen.borrow()[0].clone();
        for (t, weights) in seen.borrow().iter().enumerate().skip(1) {
            let t = t as f64;
            let decay = if ema.warmup { ema.decay.min((1.0 + t) / (10.0 + t)) } else { ema.decay };
            expected.iter_mut().zip(weights).for_each(|(average, x)| *average = decay * *average + (1.0 - decay) * x);
        }
        // What is evaluated and predicted is the average, which leaves no trace.
        let metrics = with.evaluate(&loader()).unwrap().overall;
        assert_eq!(history.last().unwrap().val, Some(metrics));
        let inputs = loader().epoch(0, 0).next().unwrap().unwrap().inputs;
        let (predicted, all) = (with.predict(&inputs).unwrap(), with.predict_all(&loader()).unwrap());
        assert_eq!(values(&predicted), values(&all.narrow(0, 0, 5).unwrap()));
        assert_eq!(net.bits(), trained);
        with.apply_ema().unwrap();
        for (ours, theirs) in weights(&net).iter().zip(&expected) {
            assert!((ours - theirs).abs() < 1e-13, "{ema:?}: {ours} for {theirs}");
        }
        assert_eq!(values(&predicted), values(&net.forward(&inputs, &Mode::eval()).unwrap()));
        drop(with);

        let plain = Net::with_batch_norm(DType::F64);
        let mut without = trainer(&plain).buffers(plain.buffers.clone()).epochs(2);
        let their_history = without.fit(&loader(), Some(&loader())).unwrap();
        assert_eq!(plain.bits(), trained);
        assert_eq!(their_history.epochs[1].train, history.epochs[1].train);
        if ema.decay > 0.0 {
            assert_ne!(without.evaluate(&loader()).unwrap().overall, metrics);
        }
    }
}

#[test]
fn a_step_that_fails_counts_for_nothing() {
    // The second piece of the third step fails, which a second fit takes again.
    let fit = |fails: bool| {
        let net = Net::new(DType::F32);
        let calls = std::cell::Cell::new(0);
        let loss = |logits: &Tensor, targets: &Tensor| {
            calls.set(calls.get() + 1);
            match fails && calls.get() == 8 {
                true => Err(candle_core::Error::Msg("not now".to_owned())),
                false => Ok(taper_ops::cross_entropy(logits, targets, &Default::default())?),
            }
        };
        let mut trainer = trainer(&net).loss(loss).micro_batch(2).epochs(2);
        if fails {
            assert_eq!(trainer.fit(&loader(), None).unwrap_err().to_string(), "not now");
        }
        let history = trainer.fit(&loader(), None).unwrap();
        drop(trainer);
        (history, net.bits())
    };
    assert_eq!(fit(true), fit(false));
}

#[test]
fn what_is_frozen_later_is_evaluated_as_it_is() {
    let net = Net::new(DType::F64);
    let mut trainer = trainer(&net).ema(Ema::new(0.9)).epochs(1);
    trainer.fit(&loader(), None).unwrap();
    let mut trainer = trainer.freeze(["conv.*"]).epochs(2);
    trainer.fit(&loader(), None).unwrap();
    let frozen: Vec<Vec<f64>> = ["conv.bias", "conv.weight"].iter().map(|name| values(&net.vars[*name])).collect();
    trainer.apply_ema().unwrap();
    let applied: Vec<Vec<f64>> = ["conv.bias", "conv.weight"].iter().map(|name| values(&net.vars[*name])).collect();
    assert_eq!(frozen, applied, "no average of the time before takes the place of what is frozen");
}

#[test]
fn an_evaluation_that_fails_leaves_the_weights_as_they_were() {
    let net = Net::new(DType::F32);
    let fails = |logits: &Tensor, _: &Tensor| match logits.track_op() {
        true => logits.sqr()?.mean_all(),
        false => Err(candle_core::Error::Msg("no loss in evaluation".to_owned())),
    };
    let mut trainer = trainer(&net).loss(fails).ema(Ema::new(0.9)).epochs(2);
    trainer.fit(&loader(), None).unwrap();
    let trained = net.bits();
    assert_eq!(trainer.evaluate(&loader()).unwrap_err().to_string(), "no loss in evaluation");
    assert_eq!(net.bits(), trained);
    trainer.apply_ema().unwrap();
    assert_ne!(net.bits(), trained, "the averages are others");
}

#[test]
fn numbers_that_make_no_step_are_refused() {
    let net = Net::new(DType::F32);
    let message = |mut trainer: Trainer<'_>| trainer.fit(&loader(), None).unwrap_err().to_string();
    assert_eq!(message(trainer(&net).micro_batch(0)), "fit: micro_batch must be at least 1, got 0");
    assert_eq!(message(trainer(&net).clip_value(-1.0)), "fit: clip_value must be positive, got -1");
    assert_eq!(message(trainer(&net).clip_value(f64::NAN)), "fit: clip_value must be positive, got NaN");
    for decay in [1.0, -0.1, f64::NAN] {
        let refused = format!("Ema: decay must be at least 0 and less than 1, got {decay}");
        assert_eq!(message(trainer(&net).ema(Ema::new(decay))), refused);
    }
    let adamw = AdamW::default().no_weight_decay(["*.gamma"]);
    assert!(message(trainer(&net).optimizer(adamw)).contains("no variable goes by \"*.gamma\""));
    for mut trainer in [trainer(&net), trainer(&net).ema(Ema::new(0.9))] {
        let error = trainer.apply_ema().unwrap_err();
        assert!(matches!(error, Error::Value { op: "apply_ema", argument: "ema", .. }), "{error}");
    }
}
