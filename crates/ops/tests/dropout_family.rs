//! Dropout of channels and samples, and alpha dropout, against their formulas, their statistics, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "one product and one sum are rounded, here and in the formula")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::draws::{DRAW, keeps};
use support::layouts::{halves_round_once, reals, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::GradCheck;
use taper_ops::random::{counter, philox4x32, unit};
use taper_ops::{
    Draw, Error, Result, alpha_dropout, drop_path, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout,
};

type Op = fn(&Tensor, f64, Draw) -> Result<Tensor>;

/// A call: the shape, the axes that number a sample's draws, and whether it is of the alpha kind.
type Call<'a> = (Op, &'a [usize], (usize, usize), bool);

/// What each operator is: its name, a batch it takes, and how many axes number its draws.
const FAMILY: [(&str, Op, &[usize], usize); 6] = [
    ("dropout1d", dropout1d, &[5, 3, 7], 2),
    ("dropout2d", dropout2d, &[5, 3, 2, 4], 2),
    ("dropout3d", dropout3d, &[5, 3, 2, 4, 1], 2),
    ("drop_path", drop_path, &[5, 3, 2, 4], 1),
    ("alpha_dropout", alpha_dropout, &[5, 3, 7], 3),
    ("feature_alpha_dropout", feature_alpha_dropout, &[5, 3, 7], 2),
];

const ALPHA: f64 = 1.758_099_340_847_376_6;

/// (scale, shift, dropped) of a kind of dropout.
fn constants(alpha: bool, p: f64) -> [f64; 3] {
    if !alpha {
        return [1. / (1. - p), 0., 0.];
    }
    let a = 1. / ((ALPHA * ALPHA * p + 1.) * (1. - p)).sqrt();
    [a, a * ALPHA * p, -a * ALPHA * (1. - p)]
}

/// The formula, element by element, where the axes from `from` to `to` number a sample's draws.
fn naive(x: &Tensor, (from, to): (usize, usize), [scale, shift, dropped]: [f64; 3], p: f64, draw: Draw) -> Vec<f64> {
    let shape = x.dims();
    let per_sample: usize = shape[from..to].iter().product();
    let run: usize = shape[to..].iter().product();
    let first = draw.first_sample * per_sample as u64;
    let element = |(i, x): (usize, f64)| match keeps(draw, first + (i / run) as u64, p) {
        true => x * scale + shift,
        false => dropped,
    };
    values(x).into_iter().enumerate().map(element).collect()
}

fn close(actual: &Tensor, expected: &[f64]) -> bool {
    let actual = values(actual);
    actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-14 * (1. + b.abs()))
}

fn shape(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    (0..4usize, prop::collection::vec(1..5usize, rank - 1)).prop_map(|(n, rest)| [vec![n], rest].concat())
}

fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1e-12), 0.01f64..0.99, Just(1. - 1e-12)]
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn the_formulas_in_any_layout(
        (s1, s2, s3) in (shape(3), shape(4), shape(5)),
        p in probability(),
        (seed, step, layer, first_sample) in (any::<u64>(), any::<u32>(), any::<u32>(), 0..u64::MAX >> 20),
    ) {
        let draw = Draw { seed, step, layer, first_sample };
        let cases: [Call<'_>; 11] = [
            (dropout1d, &s1, (1, 2), false),
            (dropout1d, &s1[1..], (0, 1), false),
            (dropout2d, &s2, (1, 2), false),
            (dropout2d, &s2[1..], (0, 1), false),
            (dropout3d, &s3, (1, 2), false),
            (dropout3d, &s3[1..], (0, 1), false),
            (drop_path, &s2, (1, 1), false),
            (drop_path, &s1[..1], (1, 1), false),
            (alpha_dropout, &s2, (1, 4), true),
            (feature_alpha_dropout, &s3, (1, 2), true),
            (feature_alpha_dropout, &s1[..2], (1, 2), true),
        ];
        for (op, shape, drawn, alpha) in cases {
            let x = reals(shape, 1);
            let expected = naive(&x, drawn, constants(alpha, p), p, draw);
            for x in [x.clone(), scattered(&x), turned(&x)] {
                let y = op(&x, p, draw).unwrap();
                prop_assert_eq!((y.dims(), y.dtype()), (shape, DType::F64));
                prop_assert!(close(&y, &expected), "{:?} {:?}", shape, drawn);
            }
        }
    }
}

#[test]
fn gradients() {
    for (name, op, shape, _) in FAMILY {
        let x = [reals(shape, 1)];
        let check = GradCheck::new(name).forbid_wasted_gradients();
        check.check(|x: &[Tensor]| op(&x[0], 0.4, DRAW), &x).unwrap().assert_passed();
        // On its own it has no curvature: its derivative must go on through its gradient.
        check.check_second_order(|x: &[Tensor]| op(&x[0].sqr()?, 0.4, DRAW), &x).unwrap().assert_passed();
        let curved = |x: &[Tensor]| op(&x[0], 0.4, DRAW)?.sqr().map_err(Error::from);
        check.check_second_order(curved, &x).unwrap().assert_passed();
    }
}

#[test]
fn a_batch_in_pieces_draws_the_mask_of_the_whole() {
    for (name, op, shape, _) in FAMILY {
        let x = reals(shape, 1);
        let whole = values(&op(&x, 0.5, DRAW).unwrap());
        for cut in 1..shape[0] {
            let piece = |first: usize, len: usize| {
                let draw = Draw { first_sample: DRAW.first_sample + first as u64, ..DRAW };
                values(&op(&x.narrow(0, first, len).unwrap(), 0.5, draw).unwrap())
            };
            assert_eq!([piece(0, cut), piece(cut, shape[0] - cut)].concat(), whole, "{name}");
        }
    }
}

#[test]
fn each_part_of_a_draw_changes_the_mask() {
    let others = [
        Draw { seed: DRAW.seed ^ 1 << 63, ..DRAW },
        Draw { step: 6, ..DRAW },
        Draw { layer: 4, ..DRAW },
        Draw { first_sample: 3, ..DRAW },
    ];
    for (name, op, shape, _) in FAMILY {
        let ones = Tensor::ones([&[64, 8], &shape[2..]].concat(), DType::F64, &Device::Cpu).unwrap();
        let mask = |draw| values(&op(&ones, 0.5, draw).unwrap());
        assert!(others.iter().all(|&other| mask(other) != mask(DRAW)), "{name}");
    }
}

#[test]
fn nothing_dropped_is_the_same_tensor_and_all_dropped_is_zero() {
    for (name, op, shape, _) in FAMILY {
        let x = Var::from_tensor(&(reals(shape, 1) / 0.).unwrap()).unwrap();
        assert_eq!(op(&x, 0., DRAW).unwrap().id(), x.id());
        let y = op(&x, 1., DRAW).unwrap();
        let dx = (&y * f64::NAN).unwrap().backward().unwrap().get(&x).unwrap().clone();
        assert!([&y, &dx].iter().all(|t| values(t).iter().all(|v| v.to_bits() == 0)), "{name}");
    }
}

#[test]
fn what_is_dropped_does_not_matter() {
    for (name, op, shape, drawn) in FAMILY {
        let (x, nan) = (reals(shape, 1), Tensor::full(f64::NAN, shape, &Device::Cpu).unwrap());
        let (y, of_nan) = (op(&x, 0.5, DRAW).unwrap(), op(&nan, 0.5, DRAW).unwrap());
        let dropped = constants(name.contains("alpha"), 0.5)[2];
        let run: usize = shape[drawn..].iter().product();
        let per_sample: usize = shape[1..drawn].iter().product();
        for (i, (y, of_nan)) in values(&y).into_iter().zip(values(&of_nan)).enumerate() {
            let keep = keeps(DRAW, 2 * per_sample as u64 + (i / run) as u64, 0.5);
            assert!(keep == of_nan.is_nan() && (keep || (y - dropped).abs() < 1e-15 && y == of_nan), "{name}");
        }
    }
}

/// Standard normal numbers, by Box and Muller, through SELU, which keeps their mean and variance.
fn selu(count: usize) -> Tensor {
    const LAMBDA: f64 = 1.050_700_987_355_480_5;
    let normal = |i: usize| {
        let [a, b, ..] = philox4x32(9, counter(i as u64, 0, 0)).map(unit);
        (-2. * (1. - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    };
    let selu = |x: f64| if x > 0. { LAMBDA * x } else { ALPHA * x.exp_m1() };
    Tensor::from_iter((0..count).map(normal).map(selu), &Device::Cpu).unwrap()
}

fn moments(x: &Tensor) -> (f64, f64) {
    let x = values(x);
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64)
}

/// A million draws: the error of a mean is about 1/1000, that of a variance about 2/1000.
#[test]
fn alpha_dropout_keeps_the_mean_0_and_the_variance_1_of_selu() {
    let x = selu(1_000_000);
    let (mean, variance) = moments(&x);
    assert!(mean.abs() < 0.004 && (variance - 1.).abs() < 0.008, "{mean} {variance}");
    let columns = x.reshape((1_000_000, 1)).unwrap();
    for p in [0.05, 0.25, 0.5, 0.9] {
        for y in [alpha_dropout(&x, p, DRAW).unwrap(), feature_alpha_dropout(&columns, p, DRAW).unwrap()] {
            let (mean, variance) = moments(&y);
            assert!(mean.abs() < 0.006 && (variance - 1.).abs() < 0.012, "p = {p}: {mean} {variance}");
        }
    }
}

/// Within 5 σ of the binomial distribution.
#[test]
fn channels_and_samples_are_kept_with_probability_one_minus_p() {
    let ones = Tensor::ones((1000, 1000, 1), DType::F64, &Device::Cpu).unwrap();
    let pairs = Tensor::ones((1_000_000, 2), DType::F64, &Device::Cpu).unwrap();
    for p in [0.1, 0.5, 0.9] {
        for y in [dropout1d(&ones, p, DRAW).unwrap(), drop_path(&pairs, p, DRAW).unwrap()] {
            let kept = values(&y).iter().filter(|&&y| y != 0.).count() as f64 * 1e6 / y.elem_count() as f64;
            assert!((kept - 1e6 * (1. - p)).abs() < 5. * (1e6 * p * (1. - p)).sqrt(), "p = {p}: {kept} kept");
        }
    }
}

#[test]
fn a_channel_of_one_element_is_an_element() {
    let x = reals(&[40, 37, 1], 1);
    assert_eq!(values(&dropout1d(&x, 0.3, DRAW).unwrap()), values(&dropout(&x, 0.3, DRAW).unwrap()));
}

#[test]
fn a_negative_zero_stays() {
    let x = Tensor::full(-0f64, (3, 5, 7), &Device::Cpu).unwrap();
    let kept = |y: Tensor| values(&y).iter().filter(|y| y.to_bits() == (-0f64).to_bits()).count();
    assert!(kept(dropout(&x, 0.5, DRAW).unwrap()) > 20 && kept(dropout1d(&x, 0.5, DRAW).unwrap()) > 20);
}

#[test]
fn empty_tensors_go_forward_and_backward() {
    for (_, op, shape, _) in FAMILY {
        for axis in 0..shape.len() {
            let mut shape = shape.to_vec();
            shape[axis] = 0;
            let x = Var::zeros(shape.as_slice(), DType::F32, &Device::Cpu).unwrap();
            let y = op(&x, 0.5, DRAW).unwrap();
            assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), y.dims());
        }
    }
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    for (name, op, shape, _) in FAMILY {
        assert!(!op(&reals(shape, 1), 0.5, DRAW).unwrap().track_op(), "{name}");
    }
}

#[test]
fn halves() {
    for (_, op, shape, _) in FAMILY {
        halves_round_once(|t| op(&t[0], 0.3, DRAW).unwrap(), &[reals(shape, 4)]);
    }
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    for (_, op, shape, _) in FAMILY {
        let large = [&[50, 31], [vec![13; shape.len() - 3], vec![17]].concat().as_slice()].concat();
        let x = Var::from_tensor(&reals(&large, 3).to_dtype(DType::F32).unwrap()).unwrap();
        same_on_any_threads(|| {
            let y = op(&x, 0.3, DRAW).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            vec![grads.get(&x).unwrap().clone(), y]
        });
    }
}

#[test]
fn refusals_name_the_values() {
    for (name, op, shape, _) in FAMILY {
        let x = reals(shape, 1);
        for p in [-0.1, 1.5, f64::NAN] {
            let error = op(&x, p, DRAW).unwrap_err();
            assert!(matches!(error, Error::Probability { .. }));
            assert_eq!(error.to_string(), format!("{name}: the probability must lie between 0 and 1, got {p}"));
        }
        let error = op(&x.to_dtype(DType::I64).unwrap(), 0.5, DRAW).unwrap_err();
        assert!(
            matches!(error, Error::DType { dtype: DType::I64, .. }) && error.to_string().starts_with(name),
            "{error}"
        );
        let error = op(&x, 0.5, Draw { first_sample: u64::MAX, ..DRAW }).unwrap_err();
        let message =
            format!("{name}: the size of the batch that first_sample counts in overflows; use smaller extents");
        assert!(matches!(error, Error::Overflow { .. }) && error.to_string() == message, "{error}");
    }
    let ranks: [(Op, &[usize], &str); 5] = [
        (dropout1d, &[2, 3, 4, 5], "dropout1d: input must have 2 or 3 dimensions, got shape [2, 3, 4, 5]"),
        (dropout2d, &[3, 4], "dropout2d: input must have 3 or 4 dimensions, got shape [3, 4]"),
        (dropout3d, &[2, 3, 4], "dropout3d: input must have 4 or 5 dimensions, got shape [2, 3, 4]"),
        (drop_path, &[], "drop_path: input must have at least 1 dimensions, got shape []"),
        (feature_alpha_dropout, &[3], "feature_alpha_dropout: input must have at least 2 dimensions, got shape [3]"),
    ];
    for (op, shape, message) in ranks {
        let error = op(&reals(shape, 1), 0.5, DRAW).unwrap_err();
        assert!(matches!(error, Error::Rank { argument: "input", .. }));
        assert_eq!(error.to_string(), message);
    }
}
