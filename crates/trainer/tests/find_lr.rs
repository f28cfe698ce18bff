//! The learning rate range test: its curve, where it ends, and that it leaves no trace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use std::cell::Cell;
use std::collections::BTreeMap;
use support::{Net, loader};
use taper_trainer::optim::{AdamW, AdamWConfig};
use taper_trainer::schedule::CosineAnnealing;
use taper_trainer::{Ema, LrCurve, LrFinder, LrPoint, Observer, Result, StepEnd, Trainer};

fn trainer(net: &Net) -> Trainer<'_> {
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
        .buffers(net.buffers.clone())
        .optimizer(AdamW::new(AdamWConfig { weight_decay: 0.1, ..Default::default() }).unwrap())
        .schedule(CosineAnnealing { max_lr: 0.01, min_lr: 0.0, total_steps: 10 })
        .ema(Ema::new(0.9))
        .epochs(1)
        .seed(4)
}

#[test]
fn the_rate_rises_and_the_losses_are_smoothed_by_the_formula() {
    let net = Net::with_batch_norm(DType::F64);
    let finder = LrFinder { start_lr: 1e-4, end_lr: 1.0, steps: 13, smoothing: 0.7, divergence: f64::INFINITY };
    let LrCurve { points } = trainer(&net).find_lr(&loader(), &finder).unwrap();
    assert_eq!(points.len(), 13, "more steps than an epoch has");
    let mut weights = Vec::new();
    for (i, LrPoint { lr, smoothed, .. }) in points.iter().enumerate() {
        let expected = 1e-4 * 1e4f64.powf(i as f64 / 12.0);
        assert!((lr - expected).abs() < 1e-12 * expected, "{lr} for {expected}");
        weights.iter_mut().for_each(|weight| *weight *= 0.7);
        weights.push(0.3);
        let mean = weights.iter().zip(&points).map(|(weight, point)| weight * point.loss).sum::<f64>()
            / weights.iter().sum::<f64>();
        assert!((smoothed - mean).abs() < 1e-12 * mean, "{smoothed} for {mean}");
    }
}

/// Counts steps.
#[derive(Default)]
struct Count(usize);

impl Observer for Count {
    fn on_step(&mut self, _: &StepEnd) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_search_leaves_no_trace_before_or_between_fits() {
    let run = |searches: bool| {
        let net = Net::with_batch_norm(DType::F32);
        let mut count = Count::default();
        let mut trainer = trainer(&net).observer(&mut count);
        let mut histories = Vec::new();
        for epochs in [1, 2] {
            if searches {
                let before = net.bits();
                trainer.find_lr(&loader(), &LrFinder { steps: 12, ..Default::default() }).unwrap();
                assert_eq!(net.bits(), before);
            }
            trainer = trainer.epochs(epochs);
            histories.push(trainer.fit(&loader(), Some(&loader())).unwrap());
        }
        drop(trainer);
        (net.bits(), histories, count.0)
    };
    let plain = run(false);
    assert_eq!(run(true), plain);
    assert_eq!(plain.2, 10);
}

/// A loss of `w²` from w = 1, which plain descent at a rate above 1 makes ever larger.
fn parabola(finder: &LrFinder, fail_at: usize) -> (Result<LrCurve>, f32) {
    let weight = Var::new(&[1f32], &Device::Cpu).unwrap();
    let calls = Cell::new(0);
    let loss = |_: &Tensor, _: &Tensor| {
        calls.set(calls.get() + 1);
        if calls.get() == fail_at {
            return Err(candle_core::Error::Msg("no loss".to_owned()));
        }
        weight.sqr()?.sum_all()
    };
    let forward = |x: &Tensor, _: &taper_ops::Mode| Tensor::zeros((x.dims()[0], 3), DType::F32, &Device::Cpu);
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let sgd = taper_trainer::optim::Sgd::default();
    let found = Trainer::new(vars, forward).loss(loss).optimizer(sgd).find_lr(&loader(), finder);
    (found, weight.to_vec1::<f32>().unwrap()[0])
}

#[test]
fn a_search_ends_where_the_loss_diverges_and_is_undone_after_an_error() {
    let finder = LrFinder { start_lr: 1e-3, end_lr: 1e3, steps: 60, smoothing: 0.5, divergence: 4.0 };
    let (found, weight) = parabola(&finder, 0);
    let curve = found.unwrap();
    let last = curve.points.last().unwrap();
    assert!(curve.points.len() < 60 && last.lr > 1.0 && last.lr < 10.0, "{last:?}");
    let mut lowest = f64::INFINITY;
    for point in &curve.points {
        lowest = lowest.min(point.smoothed);
        assert_eq!(point.smoothed > 4.0 * lowest, point == last, "{point:?}");
    }
    let suggestion = curve.suggestion().unwrap();
    assert!(suggestion > 0.01 && suggestion < 1.0, "{suggestion}");
    assert_eq!(weight.to_bits(), 1f32.to_bits());

    // Without a bound on the loss, the last finite one ends the search.
    let (found, weight) = parabola(&LrFinder { divergence: f64::INFINITY, ..finder }, 0);
    let points = found.unwrap().points;
    assert!(points.len() < 60 && points.iter().all(|point| point.loss.is_finite()));
    assert_eq!(weight.to_bits(), 1f32.to_bits());

    let (found, weight) = parabola(&finder, 9);
    assert_eq!(found.unwrap_err().to_string(), "no loss");
    assert_eq!(weight.to_bits(), 1f32.to_bits());
}

#[test]
fn a_first_batch_that_is_not_finite_is_told_and_not_taken_for_a_short_curve() {
    let net = Net::new(DType::F32);
    let before = net.bits();
    let loss = |logits: &Tensor, _: &Tensor| logits.sum_all()? * f64::NAN;
    let error = trainer(&net).loss(loss).find_lr(&loader(), &LrFinder::default()).unwrap_err();
    let expected = "the loss is NaN at step 1 (epoch 1); no step has been taken yet: look for such values in the data, the \
                    initial weights or the loss";
    assert_eq!(error.to_string(), expected);
    assert_eq!(net.bits(), before);
}

/// The curve of losses that are what they are, whatever the weights.
fn curve_of(losses: &[f64], divergence: f64) -> LrCurve {
    let weight = Var::new(&[1f32], &Device::Cpu).unwrap();
    let calls = Cell::new(0);
    let loss = |_: &Tensor, _: &Tensor| {
        calls.set(calls.get() + 1);
        weight.sum_all()?.affine(1e-30, losses[calls.get() - 1])
    };
    let forward = |x: &Tensor, _: &taper_ops::Mode| Tensor::zeros((x.dims()[0], 3), DType::F32, &Device::Cpu);
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let finder = LrFinder { steps: losses.len(), smoothing: 0.0, divergence, ..Default::default() };
    Trainer::new(vars, forward).loss(loss).find_lr(&loader(), &finder).unwrap()
}

#[test]
fn a_loss_below_zero_diverges_when_it_has_climbed_far_above_its_lowest() {
    let points = |losses: &[f64]| curve_of(losses, 4.0).points.len();
    // From −1 down to −2: the bound is −2 + 3 · 2.
    assert_eq!(points(&[-1.0, -1.5, -2.0, -1.0, 0.0, 3.5, 4.5, 9.0]), 7);
    // From 3 through 0 down to −1: the bound is −1 + 3 · 4 at last, and no crossing of 0 ends it.
    assert_eq!(points(&[3.0, 1.0, -0.25, 0.25, -1.0, 2.0, 10.5, 11.5, 9.0]), 8);
    // Above 0 it is a multiple of the lowest.
    assert_eq!(points(&[1.0, 0.5, 1.75, 2.25, 1.0]), 4);
    assert_eq!(curve_of(&[-1.0, -2.0, 1e30], f64::INFINITY).points.len(), 3);
}

#[test]
fn a_curve_that_never_falls_suggests_nothing() {
    let curve = |losses: &[f64]| LrCurve {
        points: losses.iter().map(|&loss| LrPoint { lr: 0.1, loss, smoothed: loss }).collect(),
    };
    assert_eq!(curve(&[]).suggestion(), None);
    assert_eq!(curve(&[3.0, 1.0]).suggestion(), None);
    assert_eq!(curve(&[1.0, 1.0, 1.5, 2.0]).suggestion(), None);
}

#[test]
fn numbers_that_make_no_search_are_refused() {
    let net = Net::new(DType::F32);
    for (finder, message) in [
        (LrFinder { start_lr: 0.0, ..Default::default() }, "start_lr must be positive and finite, got 0"),
        (
            LrFinder { end_lr: 1e-8, ..Default::default() },
            "end_lr must be finite and higher than start_lr, got 0.00000001",
        ),
        (
            LrFinder { end_lr: f64::NAN, ..Default::default() },
            "end_lr must be finite and higher than start_lr, got NaN",
        ),
        (LrFinder { steps: 1, ..Default::default() }, "steps must be at least 2, got 1"),
        (LrFinder { smoothing: 1.0, ..Default::default() }, "smoothing must be at least 0 and less than 1, got 1"),
        (LrFinder { divergence: 1.0, ..Default::default() }, "divergence must be greater than 1, got 1"),
    ] {
        let error = trainer(&net).find_lr(&loader(), &finder).unwrap_err();
        assert_eq!(error.to_string(), format!("LrFinder: {message}"));
    }
}
