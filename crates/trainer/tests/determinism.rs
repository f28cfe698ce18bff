//! The determinism check: it finds what is drawn from elsewhere, names where it shows first, and leaves no trace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Tensor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Net, loader};
use taper_ops::Mode;
use taper_trainer::data::{Draws, RandomVerticalFlip, Transform};
use taper_trainer::optim::{Adam, AdamConfig, Optimizer};
use taper_trainer::{Ema, Error, Rates, Result, Trainer};

/// Fails with what it was that differed.
fn difference(error: Error) -> String {
    match error {
        Error::NotDeterministic { what, first, second } => {
            assert_ne!(first, second);
            what
        }
        other => panic!("{other}"),
    }
}

fn adam() -> Adam {
    Adam::new(AdamConfig::default()).unwrap()
}

#[test]
fn a_step_that_depends_on_its_state_alone_passes_and_leaves_no_trace() {
    let train = loader().transform(RandomVerticalFlip::new(0.5).unwrap()).workers(2);
    let run = |checks: usize| {
        let net = Net::with_batch_norm(DType::F32);
        let trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).buffers(net.buffers.clone());
        let mut trainer = trainer.optimizer(adam()).ema(Ema::new(0.9)).micro_batch(3).seed(5).epochs(1);
        for _ in 0..checks {
            let before = net.bits();
            trainer.check_determinism(&train).unwrap();
            assert_eq!(before, net.bits());
        }
        trainer.fit(&train, None).unwrap();
        (0..checks).for_each(|_| trainer.check_determinism(&train).unwrap());
        let mut trainer = trainer.epochs(2);
        let history = trainer.fit(&train, None).unwrap();
        (history, net.bits())
    };
    assert_eq!(run(0), run(2));
}

/// A transform that draws from a counter of its own.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Transform for Counting {
    fn apply(&self, mut input: Vec<f32>, _: &[usize], _: &mut Draws) -> Result<Vec<f32>> {
        input[7] += self.0.fetch_add(1, Ordering::Relaxed) as f32;
        Ok(input)
    }
}

#[test]
fn data_that_is_another_each_time_is_told_from_a_forward_that_is() {
    let net = Net::new(DType::F32);
    let mut trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode));
    let train = loader().transform(Counting::default());
    assert_eq!(difference(trainer.check_determinism(&train).unwrap_err()), "the inputs at [0, 0, 1, 2]");

    let calls = Cell::new(0.0);
    let forward = |x: &Tensor, mode: &Mode| {
        calls.set(calls.get() + 1.0);
        net.forward(x, mode)? * calls.get()
    };
    let mut trainer = Trainer::new(net.vars.clone(), forward);
    assert_eq!(difference(trainer.check_determinism(&loader()).unwrap_err()), "the loss");
}

#[test]
fn the_first_variable_that_differs_is_named() {
    let net = Net::new(DType::F32);
    let before = net.bits();
    let calls = Cell::new(0.0);
    // The value is the same, the gradients of the linear layer alone are not.
    let forward = |x: &Tensor, mode: &Mode| {
        calls.set(calls.get() + 1.0);
        let silent = (net.vars["fc.weight"].as_tensor() - net.vars["fc.weight"].as_detached_tensor())?.sum_all()?;
        net.forward(x, mode)?.narrow(1, 0, 2)?.broadcast_add(&(silent * calls.get())?)
    };
    // Shifting all logits alike changes no cross entropy, so the loss is another one.
    let mut trainer = Trainer::new(net.vars.clone(), forward).loss(|logits, _| logits.mean_all());
    assert_eq!(difference(trainer.check_determinism(&loader()).unwrap_err()), "the gradient of fc.weight at [0, 0]");
    assert_eq!(before, net.bits());
}

/// An optimiser with a counter that its state does not hold.
#[derive(Debug, Default)]
struct Forgetful(f64);

impl Optimizer for Forgetful {
    fn lr(&self) -> f64 {
        0.1
    }

    fn configuration(&self) -> String {
        "Forgetful".to_owned()
    }

    fn step(
        &mut self,
        vars: &BTreeMap<String, candle_core::Var>,
        _: &BTreeMap<String, Tensor>,
        _: Rates,
        _: f64,
    ) -> Result<()> {
        self.0 += 1.0;
        Ok(vars["fc.bias"].set(&(vars["fc.bias"].as_detached_tensor() + self.0)?)?)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(BTreeMap::new())
    }

    fn load_state(&mut self, _: &BTreeMap<String, candle_core::Var>, _: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn an_optimiser_whose_state_is_not_whole_is_found() {
    let net = Net::new(DType::F32);
    let before = net.bits();
    let mut trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).optimizer(Forgetful::default());
    assert_eq!(difference(trainer.check_determinism(&loader()).unwrap_err()), "fc.bias after the step at [0]");
    assert_eq!(before, net.bits());
}
