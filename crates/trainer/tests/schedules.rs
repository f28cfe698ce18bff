//! The schedules against PyTorch's rates, and what they refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is computed exactly is compared so")]

use serde_json::Value;
use taper_trainer::schedule::{
    Constant, CosineAnnealing, CosineAnnealingWarmRestarts, Exponential, Linear, MultiStep, OneCycle, Polynomial,
    Rates, ReduceOnPlateau, Schedule, Sequential, StepDecay, Warmup,
};
use taper_trainer::{EpochRecord, Metrics, Monitor};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/schedules.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// Equal to a relative 10⁻¹², where PyTorch's own rates are the products of a hundred roundings.
fn close(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-12 * theirs.abs()
}

/// The same rates as those of an optimiser whose learning rate is 0.3.
fn schedule(name: &str) -> Box<dyn Schedule> {
    let lr = 0.3;
    match name {
        "linear" => Box::new(Linear { start_lr: 0.2 * lr, end_lr: 0.9 * lr, total_steps: 100 }),
        "step" => Box::new(StepDecay { lr, step_size: 7, gamma: 0.8 }),
        "multi_step" => Box::new(MultiStep { lr, milestones: vec![10, 11, 60, 60, 110], gamma: 0.3 }),
        "exponential" => Box::new(Exponential { lr, gamma: 0.96 }),
        "polynomial" => Box::new(Polynomial { lr, total_steps: 110, power: 1.7 }),
        "cosine" => Box::new(CosineAnnealing { max_lr: lr, min_lr: 0.01, total_steps: 130 }),
        "warm_restarts" => Box::new(CosineAnnealingWarmRestarts { max_lr: lr, min_lr: 0.005, t_0: 9, t_mult: 2 }),
        "warm_restarts_equal" => {
            Box::new(CosineAnnealingWarmRestarts { max_lr: lr, min_lr: 0.005, t_0: 13, t_mult: 1 })
        }
        "one_cycle" => Box::new(OneCycle {
            pct_start: 0.35,
            div_factor: 12.0,
            final_div_factor: 50.0,
            momentum: Some((0.7, 0.9)),
            ..OneCycle::new(0.7, 131)
        }),
        "warmup" => {
            let then = CosineAnnealing { max_lr: lr, min_lr: 0.02, total_steps: 115 };
            Box::new(Warmup { start_factor: 0.1, ..Warmup::new(15, then) })
        }
        "sequential" => Box::new(
            Sequential::new(Exponential { lr, gamma: 0.97 })
                .then(40, StepDecay { lr, step_size: 10, gamma: 0.5 })
                .then(75, Polynomial { lr, total_steps: 60, power: 2.0 }),
        ),
        name => panic!("no schedule {name}"),
    }
}

#[test]
fn rates_are_pytorchs() {
    let golden = golden();
    let rates = golden["rates"].as_object().unwrap();
    assert_eq!(rates.len(), 11);
    for (name, theirs) in rates {
        let schedule = schedule(name);
        schedule.validate().unwrap();
        let lr = floats(&theirs["lr"]);
        assert_eq!(lr.len(), 130);
        for (step, theirs) in lr.into_iter().enumerate() {
            let ours = schedule.rates(step, &[]).lr;
            assert!(close(ours, theirs), "{name} step {step}: {ours} for {theirs}");
        }
        let momentum = theirs["momentum"].as_array().map(|_| floats(&theirs["momentum"]));
        for (step, theirs) in momentum.into_iter().flatten().enumerate() {
            let ours = schedule.rates(step, &[]).momentum.unwrap();
            assert!(close(ours, theirs), "{name} step {step}: momentum {ours} for {theirs}");
        }
    }
}

/// An epoch of four steps with this metric on the validation set, and worse ones in training.
fn epoch(epoch: usize, loss: f64, accuracy: Option<f64>) -> EpochRecord {
    let metrics = |loss, accuracy| Metrics { loss, accuracy, samples: 8 };
    let (train, val) = (metrics(9.0, Some(0.0)), Some(metrics(loss, accuracy)));
    EpochRecord { epoch, step: 4 * epoch, lr: 0.3, train, val, metrics: Default::default() }
}

#[test]
fn a_plateau_is_pytorchs() {
    let golden = golden();
    let rows = golden["plateau"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let number =
            |name: &str, default: f64| row["kwargs"].get(name).map_or(default, |value| value.as_f64().unwrap());
        let max = row["mode"] == "max";
        let default = ReduceOnPlateau::new(0.3);
        let schedule = ReduceOnPlateau {
            factor: number("factor", default.factor),
            patience: number("patience", 10.0) as usize,
            threshold: number("threshold", default.threshold),
            cooldown: number("cooldown", 0.0) as usize,
            min_lr: number("min_lr", 0.0),
            monitor: if max { Monitor::Accuracy } else { Monitor::Loss },
            ..default
        };
        schedule.validate().unwrap();
        let metrics = floats(&row["metrics"]);
        let record = |(i, &value): (usize, &f64)| {
            if max { epoch(i + 1, 0.1, Some(value)) } else { epoch(i + 1, value, Some(0.5)) }
        };
        let epochs: Vec<EpochRecord> = metrics.iter().enumerate().map(record).collect();
        let lr = floats(&row["lr"]);
        assert!(lr.len() > 130 && lr.first() > lr.last());
        for (step, theirs) in lr.into_iter().enumerate() {
            let ours = schedule.rates(step, &epochs[..step / 4]).lr;
            assert!(close(ours, theirs), "{row} step {step}: {ours} for {theirs}");
        }
    }
}

#[test]
fn a_plateau_looks_at_the_training_where_there_is_no_validation_and_passes_over_what_is_not_there() {
    let loss = ReduceOnPlateau { patience: 0, factor: 0.5, ..ReduceOnPlateau::new(1.0) };
    let accuracy = ReduceOnPlateau { monitor: Monitor::Accuracy, ..loss.clone() };
    let improving: Vec<_> = (1..6).map(|i| epoch(i, 1.0 / i as f64, None)).collect();
    assert_eq!(loss.rates(20, &improving).lr, 1.0);
    assert_eq!(accuracy.rates(20, &improving).lr, 1.0, "no epoch has an accuracy");
    let training: Vec<_> = improving.iter().map(|epoch| EpochRecord { val: None, ..epoch.clone() }).collect();
    assert_eq!(loss.rates(20, &training).lr, 0.5f64.powi(4));
    assert_eq!(accuracy.rates(20, &training).lr, 0.5f64.powi(4));
    let mut broken = improving;
    broken[0].val.as_mut().unwrap().loss = f64::NAN;
    assert_eq!(loss.rates(20, &broken).lr, 0.5, "NaN is never better, and anything is better than NaN");
}

#[test]
fn a_composed_schedule_hands_on_what_is_left_of_the_run() {
    let loss = ReduceOnPlateau { patience: 0, factor: 0.5, ..ReduceOnPlateau::new(1.0) };
    // Five epochs of four steps, each worse than the one before.
    let worse: Vec<_> = (1..6).map(|i| epoch(i, i as f64, None)).collect();
    assert_eq!(loss.rates(20, &worse).lr, 0.0625);
    // During the warm-up the other schedule has not begun; then the epoch that the warm-up ends within is its first.
    let warm = Warmup::new(3, loss.clone());
    assert_eq!(warm.rates(1, &worse[..0]).lr, 1.0 / 3.0);
    assert_eq!([4, 8, 12].map(|step| warm.rates(step, &worse[..step / 4]).lr), [1.0, 0.5, 0.25]);
    // An epoch that was done when it began is not its own, so the best that it knows is not that of the warm-up.
    let long = Warmup::new(8, loss.clone());
    assert_eq!(long.rates(5, &worse[..1]).lr, 0.625);
    assert_eq!([8, 12, 16, 20].map(|step| long.rates(step, &worse[..step / 4]).lr), [1.0, 1.0, 0.5, 0.25]);
    let phases = Sequential::new(loss.clone()).then(12, loss.clone());
    assert_eq!([8, 11, 12, 16, 20].map(|step| phases.rates(step, &worse[..step / 4]).lr), [0.5, 0.5, 1.0, 1.0, 0.5]);
    // One within another counts from where the inner one begins: the second plateau from step 4 + 8.
    let nested = Warmup::new(4, Sequential::new(Constant { lr: 2.0 }).then(8, loss));
    assert_eq!([8, 12, 16, 20].map(|step| nested.rates(step, &worse[..step / 4]).lr), [2.0, 1.0, 1.0, 0.5]);
}

#[test]
fn a_cosine_after_a_warm_up_ends_at_its_minimum_with_the_run() {
    for (run, warm_up) in [(100, 10), (7, 6), (13, 0), (50, 49)] {
        let cosine = CosineAnnealing { max_lr: 0.3, min_lr: 0.02, total_steps: run - warm_up };
        let schedules: [Box<dyn Schedule>; 2] = [
            Box::new(Warmup::new(warm_up, cosine)),
            Box::new(Sequential::new(Constant { lr: 0.1 }).then(warm_up.max(1), cosine)),
        ];
        for schedule in &schedules[..if warm_up > 0 { 2 } else { 1 }] {
            assert_eq!(schedule.rates(warm_up, &[]).lr, 0.3);
            let before_last = cosine.rates(run - warm_up - 1, &[]).lr;
            assert_eq!(schedule.rates(run - 1, &[]).lr, before_last, "{schedule:?}");
            assert!(close(schedule.rates(run, &[]).lr, 0.02) && close(schedule.rates(run + 9, &[]).lr, 0.02));
        }
    }
}

#[test]
fn schedules_stay_where_they_end_and_bear_a_phase_without_length() {
    let far = 7_000_000_000;
    let cosine = CosineAnnealing { max_lr: 0.3, min_lr: 0.1, total_steps: 7 };
    assert!(close(cosine.rates(8, &[]).lr, 0.1) && close(cosine.rates(far, &[]).lr, 0.1));
    assert!(close(Linear { start_lr: 0.1, end_lr: 0.3, total_steps: 7 }.rates(far, &[]).lr, 0.3));
    assert_eq!(Polynomial { lr: 0.1, total_steps: 7, power: 0.5 }.rates(far, &[]).lr, 0.0);
    assert_eq!(Warmup::new(0, Constant { lr: 0.1 }).rates(0, &[]).lr, 0.1);
    for t_mult in [0, 1, 2] {
        for t_0 in [0, 1] {
            let restarts = CosineAnnealingWarmRestarts { max_lr: 0.3, min_lr: 0.1, t_0, t_mult };
            assert!([0, 1, far, usize::MAX].iter().all(|step| (0.1..=0.3).contains(&restarts.rates(*step, &[]).lr)));
        }
    }
    let cycle = OneCycle { momentum: Some((0.8, 0.9)), ..OneCycle::new(0.5, 7) };
    assert_eq!(cycle.rates(6, &[]), cycle.rates(7_000, &[]));
    for (pct_start, total_steps) in [(0.0, 5), (1.0, 5), (0.2, 5), (0.5, 1), (0.0, 1), (1.0, 1)] {
        let cycle = OneCycle { pct_start, momentum: Some((0.8, 0.9)), ..OneCycle::new(0.5, total_steps) };
        for step in 0..total_steps + 2 {
            let Rates { lr, momentum } = cycle.rates(step, &[]);
            assert!(lr > 0.0 && lr <= 0.5 + 1e-12, "{cycle:?} step {step}: {lr}");
            assert!((0.8 - 1e-12..=0.9 + 1e-12).contains(&momentum.unwrap()), "{cycle:?} step {step}: {momentum:?}");
        }
    }
}

#[test]
fn numbers_that_make_no_schedule_are_refused() {
    let refused: [(&dyn Schedule, &str); 23] = [
        (&Constant { lr: 0.0 }, "Constant: lr must be positive and finite, got 0"),
        (&Constant { lr: f64::NAN }, "Constant: lr must be positive and finite, got NaN"),
        (
            &Linear { start_lr: -0.1, end_lr: 0.0, total_steps: 9 },
            "Linear: start_lr must be finite and not negative, got -0.1",
        ),
        (
            &Linear { start_lr: 0.1, end_lr: f64::INFINITY, total_steps: 9 },
            "Linear: end_lr must be finite and not negative, got inf",
        ),
        (&Linear { start_lr: 0.1, end_lr: 0.0, total_steps: 0 }, "Linear: total_steps must be at least 1, got 0"),
        (&StepDecay { lr: 0.1, step_size: 0, gamma: 0.5 }, "StepDecay: step_size must be at least 1, got 0"),
        (&StepDecay { lr: 0.1, step_size: 1, gamma: 0.0 }, "StepDecay: gamma must be positive and finite, got 0"),
        (
            &MultiStep { lr: 0.1, milestones: vec![5, 3], gamma: 0.5 },
            "MultiStep: milestones must be ascending, got [5, 3]",
        ),
        (&Exponential { lr: 0.1, gamma: -1.0 }, "Exponential: gamma must be positive and finite, got -1"),
        (&Polynomial { lr: 0.1, total_steps: 9, power: 0.0 }, "Polynomial: power must be positive and finite, got 0"),
        (
            &CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 0 },
            "CosineAnnealing: total_steps must be at least 1, got 0",
        ),
        (
            &CosineAnnealing { max_lr: 0.1, min_lr: f64::NAN, total_steps: 9 },
            "CosineAnnealing: min_lr must be finite and not negative, got NaN",
        ),
        (
            &CosineAnnealingWarmRestarts { max_lr: 0.1, min_lr: 0.0, t_0: 9, t_mult: 0 },
            "CosineAnnealingWarmRestarts: t_mult must be at least 1, got 0",
        ),
        (&OneCycle::new(0.1, 0), "OneCycle: total_steps must be at least 1, got 0"),
        (&OneCycle { pct_start: 1.5, ..OneCycle::new(0.1, 9) }, "OneCycle: pct_start must be between 0 and 1, got 1.5"),
        (
            &OneCycle { momentum: Some((0.9, 1.0)), ..OneCycle::new(0.1, 9) },
            "OneCycle: momentum must be at least 0 and less than 1, got 1",
        ),
        (
            &Warmup { start_factor: -1.0, ..Warmup::new(3, Constant { lr: 0.1 }) },
            "Warmup: start_factor must be finite and not negative, got -1",
        ),
        (&Warmup::new(3, Constant { lr: -0.1 }), "Constant: lr must be positive and finite, got -0.1"),
        (
            &Sequential::new(Constant { lr: 0.1 }).then(5, Constant { lr: 0.0 }),
            "Constant: lr must be positive and finite, got 0",
        ),
        (
            &Sequential::new(Constant { lr: 0.1 }).then(0, Constant { lr: 0.2 }),
            "Sequential: milestones must be at least 1, got 0",
        ),
        (
            &Sequential::new(Constant { lr: 0.1 }).then(5, Constant { lr: 0.2 }).then(5, Constant { lr: 0.3 }),
            "Sequential: milestones must be strictly ascending, got [5, 5]",
        ),
        (
            &ReduceOnPlateau { factor: 1.0, ..ReduceOnPlateau::new(0.1) },
            "ReduceOnPlateau: factor must be greater than 0 and less than 1, got 1",
        ),
        (
            &ReduceOnPlateau { threshold: 1.0, ..ReduceOnPlateau::new(0.1) },
            "ReduceOnPlateau: threshold must be a part, less than 1, got 1",
        ),
    ];
    for (schedule, message) in refused {
        assert_eq!(schedule.validate().unwrap_err().to_string(), message);
    }
}
