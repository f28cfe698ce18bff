//! The losses against the reference's vectors, their formulas, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what must be exact is compared exactly")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use std::collections::HashMap;
use support::config;
use support::layouts::{halves_round_once, reals, same_on_any_threads, scattered, turned, values};
use support::{Case, Count};
use taper_gradcheck::GradCheck;
use taper_ops::{
    BinaryCrossEntropySpec, Error, NllLossSpec, Reduction, Result, binary_cross_entropy_with_logits as bce,
    cross_entropy, huber_loss, kl_div, l1_loss, log_softmax, mse_loss, nll_loss, smooth_l1_loss,
};

type Loss = fn(&Tensor, &Tensor, Reduction) -> Result<Tensor>;

/// Every elementwise loss, with options other than the defaults.
const LOSSES: [(&str, Loss); 8] = [
    ("mse_loss", mse_loss),
    ("l1_loss", l1_loss),
    ("smooth_l1_loss", |x, target, reduction| smooth_l1_loss(x, target, 0.7, reduction)),
    ("smooth_l1_loss", |x, target, reduction| smooth_l1_loss(x, target, 0., reduction)),
    ("huber_loss", |x, target, reduction| huber_loss(x, target, 0.7, reduction)),
    ("binary_cross_entropy_with_logits", |x, target, reduction| {
        let pos_weight = Tensor::new(1.75f64, x.device())?.to_dtype(x.dtype())?;
        bce(x, target, &BinaryCrossEntropySpec::default().reduction(reduction).pos_weight(pos_weight))
    }),
    ("kl_div", |x, target, reduction| kl_div(x, target, false, reduction)),
    ("kl_div", |x, target, reduction| kl_div(x, target, true, reduction)),
];

/// `LOSSES` as their formulas stand, in the same order.
fn naive(loss: usize, x: f64, t: f64) -> f64 {
    let d = (x - t).abs();
    let sigmoid = |x: f64| 1. / (1. + (-x).exp());
    match loss {
        0 => d * d,
        1 | 3 => d,
        2 => {
            if d < 0.7 {
                d * d / 1.4
            } else {
                d - 0.35
            }
        }
        4 => {
            if d < 0.7 {
                d * d / 2.
            } else {
                0.7 * (d - 0.35)
            }
        }
        5 => -(1.75 * t * sigmoid(x).ln() + (1. - t) * sigmoid(-x).ln()),
        6 => t * (t.ln() - x),
        _ => t.exp() * (t - x),
    }
}

fn reduction(name: &str) -> Reduction {
    match name {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        "batchmean" => Reduction::BatchMean,
        other => panic!("reduction {other}"),
    }
}

fn call(case: &Case, inputs: &HashMap<String, Tensor>) -> Result<Option<Vec<Tensor>>> {
    let (x, target) = (&inputs["input"], &inputs["target"]);
    let reduction = reduction(case.kwargs["reduction"].as_str().unwrap());
    let number = |name: &str| case.kwargs[name].as_f64().unwrap();
    let [weight, pos_weight] = ["weight", "pos_weight"].map(|name| inputs.get(name).cloned());
    let loss = match case.kwargs["name"].as_str().unwrap() {
        "mse_loss" => mse_loss(x, target, reduction),
        "l1_loss" => l1_loss(x, target, reduction),
        "smooth_l1_loss" => smooth_l1_loss(x, target, number("beta"), reduction),
        "huber_loss" => huber_loss(x, target, number("delta"), reduction),
        "kl_div" => kl_div(x, target, case.kwargs.get("log_target").is_some(), reduction),
        "binary_cross_entropy_with_logits" => bce(x, target, &BinaryCrossEntropySpec { reduction, weight, pos_weight }),
        "nll_loss" => {
            let ignore_index = case.kwargs.get("ignore_index").map_or(-100, |index| index.as_i64().unwrap());
            nll_loss(x, target, &NllLossSpec { reduction, ignore_index, weight })
        }
        name => panic!("{name}"),
    };
    loss.map(|loss| Some(vec![loss]))
}

#[test]
fn golden() {
    let count = support::check("losses", |_| true, call, |case, error| panic!("{}: {error}", case.id));
    assert_eq!(count, Count { passed: 52, refused: 0 });
}

/// Targets that every loss takes: in (0, 1), away from the ends.
fn targets(shape: &[usize], seed: u64) -> Tensor {
    reals(shape, seed).affine(0.2, 0.5).unwrap()
}

fn expect(what: &str, actual: &Tensor, expected: &[f64], tolerance: f64) {
    let actual = values(actual);
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * (1. + b.abs()), "{what}: {a} for {b}");
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn the_formula_in_any_layout(shape in prop::collection::vec(1..6usize, 0..4), seed in 0..1000u64) {
        let (x, target) = ((reals(&shape, seed) * 3.).unwrap(), targets(&shape, seed + 1));
        for (i, (name, f)) in LOSSES.into_iter().enumerate() {
            let losses: Vec<f64> = values(&x).iter().zip(values(&target)).map(|(&x, t)| naive(i, x, t)).collect();
            let sum: f64 = losses.iter().sum();
            let samples = shape.first().copied().unwrap_or(1) as f64;
            let reduced = [
                (Reduction::Sum, vec![sum]),
                (Reduction::Mean, vec![sum / losses.len() as f64]),
                (Reduction::BatchMean, vec![sum / samples]),
                (Reduction::None, losses),
            ];
            for (reduction, expected) in reduced {
                for (x, target) in [(x.clone(), target.clone()), (scattered(&x), turned(&target)), (turned(&x), scattered(&target))] {
                    let loss = f(&x, &target, reduction).unwrap();
                    prop_assert_eq!(loss.dims(), if reduction == Reduction::None { shape.as_slice() } else { &[] });
                    expect(name, &loss, &expected, 1e-13);
                }
                let single = [&x, &target].map(|tensor| tensor.to_dtype(DType::F32).unwrap());
                expect(name, &f(&single[0], &single[1], reduction).unwrap(), &expected, 2e-6);
            }
        }
    }

    /// The cross entropy is the negative log-likelihood of a log-softmax, in value and in gradient.
    #[test]
    fn nll_is_the_second_half_of_cross_entropy(
        shape in prop_oneof![
            (1..6usize).prop_map(|c| vec![c]),
            (1..4usize, 1..6usize).prop_map(|(n, c)| vec![n, c]),
            (1..4usize, 1..6usize, 1..4usize, 1..4usize).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
        ],
        reduction in prop_oneof![Just(Reduction::None), Just(Reduction::Sum), Just(Reduction::Mean), Just(Reduction::BatchMean)],
        weighted in any::<bool>(),
        seed in 0..1000u64,
    ) {
        let axis = usize::from(shape.len() > 1);
        let (classes, mut positions) = (shape[axis], shape.clone());
        positions.remove(axis);
        let count: usize = positions.iter().product();
        // Some are ignored, but never the first.
        let target = (0..count).map(|i| if i % 5 == 4 { -1 } else { ((i * 7 + seed as usize) % classes) as i64 });
        let target = Tensor::from_iter(target, &Device::Cpu).unwrap().reshape(positions).unwrap();
        let weight = weighted.then(|| targets(&[classes], seed));
        let logits = Var::from_tensor(&reals(&shape, seed)).unwrap();
        let spec = NllLossSpec { reduction, ignore_index: -1, weight: weight.clone() };
        let loss = nll_loss(&scattered(&log_softmax(&logits, axis).unwrap()), &turned(&target), &spec).unwrap();
        let spec = taper_ops::CrossEntropySpec { reduction, ignore_index: -1, weight, label_smoothing: 0. };
        let expected = cross_entropy(&logits, &target, &spec).unwrap();
        prop_assert_eq!(loss.dims(), expected.dims());
        expect("loss", &loss, &values(&expected), 1e-14);
        let grad = |loss: &Tensor| loss.sqr().unwrap().sum_all().unwrap().backward().unwrap().get(&logits).unwrap().clone();
        expect("gradient", &grad(&loss), &values(&grad(&expected)), 1e-13);
    }
}

#[test]
fn finite_differences() {
    // No difference lies within a step of a kink.
    let (x, target) = (reals(&[3, 4, 2], 1), targets(&[3, 4, 2], 2));
    for (name, f) in LOSSES {
        for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::BatchMean] {
            let check = GradCheck::new(name).input_names(["x", "target"]).forbid_wasted_gradients();
            let inputs = [x.clone(), target.clone()];
            check.check(|x: &[Tensor]| f(&x[0], &x[1], reduction), &inputs).unwrap().assert_passed();
            check.check_second_order(|x: &[Tensor]| f(&x[0], &x[1], reduction), &inputs).unwrap().assert_passed();
            // Where a loss is linear, its derivative must go on through its gradient.
            let inside = |x: &[Tensor]| f(&x[0].sqr()?, &x[1], reduction)?.sqr();
            check.check_second_order(inside, &inputs).unwrap().assert_passed();
        }
    }
    let weight = targets(&[2], 3);
    let spec = BinaryCrossEntropySpec::default().weight(targets(&[3, 4, 2], 4)).pos_weight(weight);
    let f = |x: &[Tensor]| bce(&x[0], &x[1], &spec);
    let check = GradCheck::new("bce").input_names(["x", "target"]).linear_in([1]).forbid_wasted_gradients();
    check.check(f, &[x.clone(), target.clone()]).unwrap().assert_passed();
    check.check_second_order(f, &[x.clone(), target]).unwrap().assert_passed();

    let target = Tensor::new(&[[3i64, 0], [1, -100], [2, 2]], &Device::Cpu).unwrap();
    let check = GradCheck::new("nll_loss").linear_in([0]).forbid_wasted_gradients();
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::BatchMean] {
        let spec = NllLossSpec::default().reduction(reduction).weight(targets(&[4], 5));
        check.check(|x: &[Tensor]| nll_loss(&x[0], &target, &spec), std::slice::from_ref(&x)).unwrap().assert_passed();
        let inside = |x: &[Tensor]| nll_loss(&x[0].sqr()?, &target, &spec)?.sqr();
        let check = GradCheck::new("nll_loss");
        check.check_second_order(inside, std::slice::from_ref(&x)).unwrap().assert_passed();
    }
}

/// The gradients of Σ f(x, target), by both.
fn gradients(f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>, x: &[f64], target: &[f64]) -> [Vec<f64>; 2] {
    let [x, target] = [x, target].map(|values| Var::new(values, &Device::Cpu).unwrap());
    let grads = f(&x, &target).unwrap().sum_all().unwrap().backward().unwrap();
    [x, target].map(|var| values(grads.get(&var).unwrap()))
}

#[test]
fn kinks_and_infinities() {
    let inf = f64::INFINITY;
    let (d, zeros) = ([0., 0.5, -0.5, 0.25, inf, -inf], [0.; 6]);
    let sum = Reduction::Sum;
    let by_x = |f: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| gradients(f, &d, &zeros)[0].clone();
    assert_eq!(by_x(&|x, t| l1_loss(x, t, sum)), [0., 1., -1., 1., 1., -1.]);
    assert_eq!(by_x(&|x, t| mse_loss(x, t, sum)), [0., 1., -1., 0.5, inf, -inf]);
    assert_eq!(by_x(&|x, t| smooth_l1_loss(x, t, 0.5, sum)), [0., 1., -1., 0.5, 1., -1.]);
    assert_eq!(by_x(&|x, t| smooth_l1_loss(x, t, 0., sum)), [0., 1., -1., 1., 1., -1.]);
    assert_eq!(by_x(&|x, t| huber_loss(x, t, 0.5, sum)), [0., 0.5, -0.5, 0.25, 0.5, -0.5]);
}

/// A term of weight 0 is 0, whatever its logarithm; the tails keep their digits.
#[test]
fn tails() {
    let inf = f64::INFINITY;
    let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
    let spec = BinaryCrossEntropySpec::default().reduction(Reduction::None);
    let f = |x: &Tensor, t: &Tensor| bce(x, t, &spec);
    let (x, t) = ([-1e4, 1e4, inf, -inf, inf, -inf, 40., -40.], [0., 1., 1., 0., 0., 1., 1., 0.]);
    let tail = (-40f64).exp();
    expect("tails", &f(&tensor(&x[6..]), &tensor(&t[6..])).unwrap(), &[tail; 2], 0.);
    assert_eq!(values(&f(&tensor(&x), &tensor(&t)).unwrap())[..6], [0., 0., 0., 0., inf, inf]);
    let [dx, dt] = gradients(f, &x, &t);
    assert_eq!(dx, [0., 0., 0., 0., 1., -1., -tail, tail]);
    assert_eq!(dt[..6], [1e4, -1e4, -inf, inf, -inf, inf]);

    let (x, t) = (tensor(&[-1., -inf, -inf, 0.]), tensor(&[0., 0., 0.5, 1.]));
    assert_eq!(values(&kl_div(&x, &t, false, Reduction::None).unwrap()), [0., 0., inf, 0.]);
    let x = tensor(&[-1., -inf, -inf, 0.]);
    assert_eq!(values(&kl_div(&x, &t.log().unwrap(), true, Reduction::None).unwrap()), [0., 0., inf, 0.]);
}

#[test]
fn nothing_has_a_sum_but_no_mean() {
    let empty = Var::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    for (name, f) in LOSSES {
        assert_eq!(f(&empty, &empty, Reduction::None).unwrap().dims(), [0, 3]);
        let sum = f(&empty, &empty, Reduction::Sum).unwrap();
        assert_eq!(values(&sum), [0.]);
        assert_eq!(sum.backward().unwrap().get(&empty).unwrap().dims(), [0, 3]);
        for (reduction, argument) in
            [(Reduction::Mean, "the number of elements"), (Reduction::BatchMean, "the number of samples")]
        {
            let message = f(&empty, &empty, reduction).unwrap_err().to_string();
            let expected = "must be other than zero for a mean (is all of it ignored? use Reduction::Sum), got 0";
            assert_eq!(message, format!("{name}: {argument} {expected}"));
        }
    }
    let ignored = Tensor::new(&[-100i64, -100], &Device::Cpu).unwrap();
    let error = nll_loss(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap(), &ignored, &NllLossSpec::default());
    assert!(matches!(error.unwrap_err(), Error::Value { argument: "the total weight of the targets", .. }));
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let shape = [5, 3, 101, 103];
    let pair =
        [reals(&shape, 1), targets(&shape, 2)].map(|x| Var::from_tensor(&x.to_dtype(DType::F32).unwrap()).unwrap());
    same_on_any_threads(|| {
        let losses = LOSSES.iter().flat_map(|(_, f)| {
            let loss = f(&pair[0], &pair[1], Reduction::Mean).unwrap();
            let grads = loss.backward().unwrap();
            pair.iter().map(|var| grads.get(var).unwrap().clone()).chain([loss]).collect::<Vec<_>>()
        });
        losses.collect()
    });
}

#[test]
fn halves() {
    let pair = [reals(&[3, 4, 2], 8), targets(&[3, 4, 2], 9)];
    for (_, f) in LOSSES {
        for reduction in [Reduction::None, Reduction::Mean] {
            halves_round_once(|t| f(&t[0], &t[1], reduction).unwrap(), &pair);
        }
    }
    let target = Tensor::new(&[[3i64, 0], [1, -100], [2, 2]], &Device::Cpu).unwrap();
    halves_round_once(|t| nll_loss(&t[0], &target, &NllLossSpec::default()).unwrap(), &pair[..1]);
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, mean) = (zeros(&[2, 3]), Reduction::Mean);
    for (name, f) in LOSSES {
        let error = f(&x, &zeros(&[1, 3]), mean).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "target", .. }));
        assert_eq!(error.to_string(), format!("{name}: target must have shape [2, 3], got [1, 3]"));
        let error = f(&x, &x.to_dtype(DType::F64).unwrap(), mean).unwrap_err();
        assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));
        let integers = x.to_dtype(DType::I64).unwrap();
        assert!(matches!(f(&integers, &integers, mean).unwrap_err(), Error::DType { dtype: DType::I64, .. }));
    }
    for (beta, shown) in [(-1., "-1"), (f64::NAN, "NaN")] {
        let error = smooth_l1_loss(&x, &x, beta, mean).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "beta", .. }));
        assert_eq!(error.to_string(), format!("smooth_l1_loss: beta must be finite and not negative, got {shown}"));
    }
    for (delta, shown) in [(0., "0"), (f64::INFINITY, "inf")] {
        let error = huber_loss(&x, &x, delta, mean).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "delta", .. }));
        assert_eq!(error.to_string(), format!("huber_loss: delta must be finite and positive, got {shown}"));
    }
    let name = "binary_cross_entropy_with_logits";
    let error = bce(&x, &x, &BinaryCrossEntropySpec::default().weight(zeros(&[2]))).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "weight", .. }));
    assert_eq!(error.to_string(), format!("{name}: weight must have shape [2, 3], got [2]"));
    let error = bce(&x, &x, &BinaryCrossEntropySpec::default().pos_weight(zeros(&[2]))).unwrap_err();
    assert_eq!(error.to_string(), format!("{name}: pos_weight must have shape [2, 3], got [2]"));
    let double = zeros(&[3]).to_dtype(DType::F64).unwrap();
    let error = bce(&x, &x, &BinaryCrossEntropySpec::default().pos_weight(double)).unwrap_err();
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));

    let indices = |values: &[i64]| Tensor::new(values, &Device::Cpu).unwrap();
    let spec = NllLossSpec::default;
    let error = nll_loss(&x, &indices(&[0, 3]), &spec()).unwrap_err();
    assert!(matches!(error, Error::TargetOutOfBounds { target: 3, position: 1, classes: 3, .. }));
    assert_eq!(error.to_string(), "nll_loss: target 3 at position 1 is out of bounds for 3 classes");
    let error = nll_loss(&x, &indices(&[0, 1, 2]), &spec()).unwrap_err();
    assert_eq!(error.to_string(), "nll_loss: target (class indices) must have shape [2], got [3]");
    let error = nll_loss(&x, &indices(&[0, 1]), &spec().weight(zeros(&[2]))).unwrap_err();
    assert_eq!(error.to_string(), "nll_loss: weight must have shape [3], got [2]");
    assert!(matches!(nll_loss(&x, &x, &spec()).unwrap_err(), Error::DType { dtype: DType::F32, .. }));
    let error = nll_loss(&zeros(&[]), &indices(&[]), &spec()).unwrap_err();
    assert!(matches!(error, Error::Rank { argument: "log_probabilities", .. }));
    assert!(matches!(nll_loss(&zeros(&[2, 0]), &indices(&[0, 1]), &spec()).unwrap_err(), Error::NotPositive { .. }));
}
