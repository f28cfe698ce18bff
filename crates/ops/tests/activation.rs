//! The activations against the reference's vectors, exact digits, the formulas, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what must be exact is compared exactly")]

mod support;

use candle_core::{D, DType, Device, Tensor, Var};
use proptest::prelude::*;
use std::collections::HashMap;
use support::config;
use support::layouts::{halves_round_once, reals, same_on_any_threads, scattered, turned, values};
use support::{Case, Count};
use taper_gradcheck::GradCheck;
use taper_ops::{
    Error, Result, celu, elu, gelu, gelu_tanh, glu, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu,
    log_softmax, logsigmoid, mish, prelu, relu, relu6, selu, sigmoid, silu, softmax, softplus, softshrink, softsign,
    tanh, tanhshrink, threshold,
};

type Activation = fn(&Tensor) -> Result<Tensor>;

/// Every function of one number, with options other than the defaults.
const ACTIVATIONS: [(&str, Activation); 23] = [
    ("relu", relu),
    ("relu6", relu6),
    ("leaky_relu", |x| leaky_relu(x, 0.1)),
    ("threshold", |x| threshold(x, 0.4, -1.5)),
    ("hardtanh", |x| hardtanh(x, -1.25, 0.5)),
    ("hardsigmoid", hardsigmoid),
    ("hardswish", hardswish),
    ("hardshrink", |x| hardshrink(x, 0.6)),
    ("softshrink", |x| softshrink(x, 0.7)),
    ("elu", |x| elu(x, 1.3)),
    ("selu", selu),
    ("celu", |x| celu(x, 0.8)),
    ("sigmoid", sigmoid),
    ("tanh", tanh),
    ("tanhshrink", tanhshrink),
    ("softsign", softsign),
    ("softplus", |x| softplus(x, 0.7, 20.)),
    ("logsigmoid", logsigmoid),
    ("silu", silu),
    ("mish", mish),
    ("gelu", gelu),
    ("gelu_tanh", gelu_tanh),
    ("softplus with a low threshold", |x| softplus(x, 2., 1.)),
];

fn named(name: &str) -> Activation {
    ACTIVATIONS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// The call that a reference vector asks for.
fn call(case: &Case, inputs: &HashMap<String, Tensor>) -> Result<Option<Vec<Tensor>>> {
    let x = &inputs["input"];
    let number = |name: &str, default: f64| case.kwargs.get(name).map_or(default, |value| value.as_f64().unwrap());
    let axis = || case.kwargs["dim"].as_i64().unwrap().rem_euclid(x.rank() as i64) as usize;
    let y = match case.kwargs["name"].as_str().unwrap() {
        "leaky_relu" => leaky_relu(x, number("negative_slope", 0.01)),
        "elu" => elu(x, number("alpha", 1.)),
        "celu" => celu(x, number("alpha", 1.)),
        "gelu" if case.kwargs.get("approximate").is_some() => gelu_tanh(x),
        "hardtanh" => hardtanh(x, number("min_val", -1.), number("max_val", 1.)),
        "softplus" => softplus(x, number("beta", 1.), number("threshold", 20.)),
        "hardshrink" => hardshrink(x, number("lambd", 0.5)),
        "softshrink" => softshrink(x, number("lambd", 0.5)),
        "threshold" => threshold(x, number("threshold", f64::NAN), number("value", f64::NAN)),
        "glu" => glu(x, axis()),
        "softmax" => softmax(x, axis()),
        "log_softmax" => log_softmax(x, axis()),
        "prelu" => prelu(x, &inputs["weight"]),
        name => named(name)(x),
    };
    y.map(|y| Some(vec![y]))
}

#[test]
fn golden() {
    let refused = |case: &Case, error: &Error| panic!("{}: {error}", case.id);
    let check = |op| support::check_by(op, |_| true, call, refused, compare);
    assert_eq!(check("activation"), Count { passed: 49, refused: 0 });
    assert_eq!(check("activations_more"), Count { passed: 77, refused: 0 });
}

fn compare(
    case: &Case,
    inputs: &HashMap<String, Tensor>,
    what: &str,
    actual: &Tensor,
    expected: &Tensor,
    tolerance: f64,
) {
    match case.kwargs["name"].as_str().unwrap() {
        // The reference rounds 1 / alpha and 1 / 6 to float32 in these gradients: by half of its epsilon at most.
        "celu" | "hardsigmoid" if what.contains("grad") => {
            support::close(what, actual, expected, tolerance.max(f64::from(f32::EPSILON) / 2.));
        }
        // At infinities the reference has NaN for these, and we their limits, which the test `limits` holds.
        "silu" | "mish" | "gelu" | "hardswish" | "softsign" => {
            let (x, a) = (values(&inputs["input"]), values(actual));
            let limit = |((x, a), b): ((f64, f64), f64)| if x.is_infinite() && b.is_nan() { a } else { b };
            assert!(x.iter().zip(&a).all(|(x, a)| !x.is_infinite() || !a.is_nan()), "{what}: {a:?} at {x:?}");
            let expected: Vec<f64> = x.into_iter().zip(a).zip(values(expected)).map(limit).collect();
            support::close(what, actual, &Tensor::from_vec(expected, actual.shape(), &Device::Cpu).unwrap(), tolerance);
        }
        _ => support::close(what, actual, expected, tolerance),
    }
}

/// The gradient of Σ c · f(x) by x.
fn gradient(f: Activation, x: &Tensor, c: &Tensor) -> Vec<f64> {
    let x = Var::from_tensor(x).unwrap();
    let loss = (f(&x).unwrap() * c).unwrap().sum_all().unwrap();
    values(loss.backward().unwrap().get(&x).unwrap())
}

fn ones(x: &Tensor) -> Tensor {
    x.ones_like().unwrap()
}

/// Values and slopes that were computed with 60 digits. The tails are where formulas lose theirs.
#[test]
fn digits() {
    #[rustfmt::skip]
    let table = [
        ("sigmoid", -5.5, 0.004070137715896128, 0.004053571694869767),
        ("sigmoid", -0.375, 0.4073334000459302, 0.2414129012529524),
        ("sigmoid", 0.0009765625, 0.5002441406055974, 0.2499999403953647),
        ("sigmoid", 2.5, 0.9241418199787564, 0.07010371654510816),
        ("sigmoid", 15.5, 0.9999998144608981, 1.8553906741207481e-07),
        ("tanh", -5.5, -0.9999665971563038, 6.680457164241374e-05),
        ("tanh", -0.375, -0.35835739835078595, 0.8715799750472562),
        ("tanh", 0.0009765625, 0.0009765621895592603, 0.9999990463262899),
        ("tanh", 2.5, 0.9866142981514303, 0.02659222668316062),
        ("tanh", 15.5, 0.9999999999999312, 1.3769908433878958e-13),
        ("silu", -5.5, -0.0223857574374287, -0.01822450660588759),
        ("silu", -0.375, -0.15275002501722384, 0.3168035620760731),
        ("silu", 0.0009765625, 0.0004885196685601537, 0.5004882811723897),
        ("silu", 2.5, 2.310354549946891, 1.0994011113415267),
        ("silu", 15.5, 15.499997124143922, 1.000002690316443),
        ("mish", -5.5, -0.02243131361636677, -0.01830696442607401),
        ("mish", -0.375, -0.18004010884183477, 0.36256622356981055),
        ("mish", 0.0009765625, 0.000586242660838373, 0.6006249540527645),
        ("mish", 2.5, 2.471392304557881, 1.0411295301313532),
        ("mish", 15.5, 15.499999999998932, 1.0000000000020655),
        ("gelu", -5.5, -1.0444259356238245e-07, -5.733472398739924e-07),
        ("gelu", -0.375, -0.13268633749772857, 0.21438457312611287),
        ("gelu", 0.0009765625, 0.0004886617109460747, 0.5007791838937131),
        ("gelu", 2.5, 2.4844758366855597, 1.037611085908145),
        ("gelu", 15.5, 15.5, 1.0),
        ("gelu_tanh", -5.5, -5.9276402638802624e-09, -4.676552810807415e-08),
        ("gelu_tanh", -0.375, -0.1326922331084884, 0.21444430795200062),
        ("gelu_tanh", 0.0009765625, 0.0004886617109457754, 0.5007791838924871),
        ("gelu_tanh", 2.5, 2.484915733910001, 1.037951576212666),
        ("gelu_tanh", 15.5, 15.5, 1.0),
        ("logsigmoid", -5.5, -5.504078443270571, 0.9959298622841039),
        ("logsigmoid", -0.375, -0.89812326413984, 0.5926665999540698),
        ("logsigmoid", 0.0009765625, -0.6926590185192302, 0.49975585939440254),
        ("logsigmoid", 2.5, -0.07888973429254963, 0.07585818002124355),
        ("logsigmoid", 15.5, -1.855391190492144e-07, 1.8553910183683314e-07),
        ("softsign", -5.5, -0.8461538461538461, 0.023668639053254437),
        ("softsign", -0.375, -0.2727272727272727, 0.5289256198347108),
        ("softsign", 0.0009765625, 0.000975609756097561, 0.9980497323022011),
        ("softsign", 2.5, 0.7142857142857143, 0.08163265306122448),
        ("softsign", 15.5, 0.9393939393939394, 0.0036730945821854912),
    ];
    for (name, x, value, slope) in table {
        let x = Tensor::new(&[x], &Device::Cpu).unwrap();
        let actual = [values(&named(name)(&x).unwrap())[0], gradient(named(name), &x, &ones(&x))[0]];
        let single = x.to_dtype(DType::F32).unwrap();
        let actual_single =
            [values(&named(name)(&single).unwrap())[0], gradient(named(name), &single, &ones(&single))[0]];
        for (a, b) in actual.into_iter().zip([value, slope]) {
            assert!((a - b).abs() <= 3e-14 * b.abs(), "{name} at {x}: {a}, should be {b}");
        }
        for (a, b) in actual_single.into_iter().zip([value, slope]) {
            assert!((a - b).abs() <= 2e-5 * b.abs(), "{name} at {x} in float32: {a}, should be {b}");
        }
    }
}

/// The golden gradients of these two are good to float32's precision only: the formulas hold them to float64's.
#[test]
fn slopes_that_the_reference_rounds() {
    let x = Tensor::new(&[-2.9f64, -1.3, -0.7, -1e-3, 0.3, 2.9], &Device::Cpu).unwrap();
    let six = gradient(hardsigmoid, &x, &ones(&x));
    assert!(six.iter().all(|slope| (slope - 1. / 6.).abs() <= 1e-16), "{six:?}");
    let slopes = gradient(|x| celu(x, 1.2), &x, &ones(&x));
    for (x, slope) in values(&x).into_iter().zip(slopes) {
        let exact = if x > 0. { 1. } else { (x / 1.2).exp() };
        assert!((slope - exact).abs() <= 1e-15, "at {x}: {slope}, should be {exact}");
    }
}

/// At ±∞ the limits, where the reference multiplies 0 by ∞ or divides ∞ by ∞.
#[test]
fn limits() {
    let x = Tensor::new(&[f64::NEG_INFINITY, f64::INFINITY, -1e300, 1e300], &Device::Cpu).unwrap();
    for name in ["silu", "mish", "gelu", "gelu_tanh", "hardswish"] {
        assert_eq!(values(&named(name)(&x).unwrap()), [0., f64::INFINITY, 0., 1e300], "{name}");
        assert_eq!(gradient(named(name), &x, &ones(&x)), [0., 1., 0., 1.], "{name}");
    }
    assert_eq!(values(&softsign(&x).unwrap()), [-1., 1., -1., 1.]);
    assert_eq!(gradient(softsign, &x, &ones(&x)), [0.; 4]);
    assert_eq!(values(&leaky_relu(&x, 0.).unwrap()), [0., f64::INFINITY, 0., 1e300]);
    // Without a threshold the reference overflows.
    assert_eq!(values(&softplus(&x, 1., f64::INFINITY).unwrap()), [0., f64::INFINITY, 0., 1e300]);
}

#[test]
fn no_finite_number_gives_nan() {
    for (name, f) in ACTIVATIONS {
        for dtype in [DType::F32, DType::F64] {
            let points = [0., 1e-40, 1., 20., 88., 89., 104., 700., 710., 746., 1e4, 1e18, 1e20, 3e38];
            let points: Vec<f64> = points.iter().flat_map(|&x| [x, -x]).collect();
            let x = Tensor::new(points, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let all = [values(&f(&x).unwrap()), gradient(f, &x, &ones(&x))].concat();
            assert!(all.iter().all(|y| y.is_finite()), "{name} {dtype:?}: {all:?}");
        }
    }
}

#[test]
fn nan_stays() {
    let x = Tensor::new(&[f64::NAN], &Device::Cpu).unwrap();
    for (name, f) in ACTIVATIONS {
        assert!(values(&f(&x).unwrap())[0].is_nan(), "{name}");
    }
}

/// A slope of 0 stops any gradient, and one of 1 passes it on.
#[test]
fn relu_at_zeros_nan_and_infinities() {
    let x =
        Tensor::new(&[-0f64, 0., f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310, -1e-310], &Device::Cpu).unwrap();
    let y = values(&relu(&x).unwrap());
    assert!(y[2].is_nan());
    assert_eq!([y[0], y[1], y[3], y[4], y[5], y[6]], [0., 0., f64::INFINITY, 0., 1e-310, 0.]);
    assert_eq!(gradient(relu, &x, &Tensor::full(3f64, 7, &Device::Cpu).unwrap()), [0., 0., 3., 3., 0., 3., 0.]);
    let infinite = Tensor::full(f64::INFINITY, 7, &Device::Cpu).unwrap();
    let inf = f64::INFINITY;
    assert_eq!(gradient(relu, &x, &infinite), [0., 0., inf, inf, 0., inf, 0.]);
}

/// `f` of one number, written as its formula stands.
fn naive(name: &str, x: f64) -> f64 {
    let sigmoid = |x: f64| 1. / (1. + (-x).exp());
    match name {
        "relu" => x.max(0.),
        "relu6" => x.clamp(0., 6.),
        "leaky_relu" => {
            if x > 0. {
                x
            } else {
                0.1 * x
            }
        }
        "threshold" => {
            if x > 0.4 {
                x
            } else {
                -1.5
            }
        }
        "hardtanh" => x.clamp(-1.25, 0.5),
        "hardsigmoid" => (x + 3.).clamp(0., 6.) / 6.,
        "hardswish" => x * (x + 3.).clamp(0., 6.) / 6.,
        "hardshrink" => {
            if x.abs() > 0.6 {
                x
            } else {
                0.
            }
        }
        "softshrink" => x.signum() * (x.abs() - 0.7).max(0.),
        "elu" => {
            if x > 0. {
                x
            } else {
                1.3 * (x.exp() - 1.)
            }
        }
        "selu" => 1.0507009873554805 * if x > 0. { x } else { 1.6732632423543772 * (x.exp() - 1.) },
        "celu" => {
            if x > 0. {
                x
            } else {
                0.8 * ((x / 0.8).exp() - 1.)
            }
        }
        "sigmoid" => sigmoid(x),
        "tanh" => x.tanh(),
        "tanhshrink" => x - x.tanh(),
        "softsign" => x / (1. + x.abs()),
        "softplus" => (1. + (0.7 * x).exp()).ln() / 0.7,
        "softplus with a low threshold" => {
            if 2. * x > 1. {
                x
            } else {
                (1. + (2. * x).exp()).ln() / 2.
            }
        }
        "logsigmoid" => sigmoid(x).ln(),
        "silu" => x * sigmoid(x),
        "mish" => x * (1. + x.exp()).ln().tanh(),
        "gelu" => x * (1. + libm::erf(x / 2f64.sqrt())) / 2.,
        "gelu_tanh" => x * (1. + ((2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()) / 2.,
        other => panic!("{other}"),
    }
}

fn expect(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * (1. + b.abs()), "{what}: {a} for {b}");
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn the_formula_in_any_layout(
        shape in prop::collection::vec(0..6usize, 0..4),
        pool in prop::collection::vec(prop_oneof![Just(0.), -9f64..9.], 125),
    ) {
        let count = shape.iter().product();
        let x = Tensor::from_slice(&pool[..count], shape.as_slice(), &Device::Cpu).unwrap();
        for (name, f) in ACTIVATIONS {
            let expected: Vec<f64> = values(&x).iter().map(|&x| naive(name, x)).collect();
            let y = values(&f(&x).unwrap());
            expect(name, &y, &expected, 1e-13);
            let cotangent = reals(&shape, 3);
            let dx = gradient(f, &x, &cotangent);
            for x in [scattered(&x), turned(&x)] {
                prop_assert_eq!(&values(&f(&x).unwrap()), &y);
                prop_assert_eq!(&gradient(f, &x, &scattered(&cotangent)), &dx);
            }
            prop_assert_eq!(values(&f(&x.broadcast_left(3).unwrap()).unwrap()), y.repeat(3));
            expect(name, &values(&f(&x.to_dtype(DType::F32).unwrap()).unwrap()), &expected, 2e-5);
        }
    }

    #[test]
    fn the_softmax_in_any_layout(
        shape in prop_oneof![
            prop::collection::vec(1..6usize, 1..4),
            (1..4usize, 1..4usize, 60..140usize).prop_map(|(n, c, l)| vec![n, c, l]),
        ],
        axis in 0..3usize,
        seed in 0..1000u64,
    ) {
        let axis = axis % shape.len();
        let x = (reals(&shape, seed) * 5.).unwrap();
        let exp = x.exp().unwrap();
        let expected = values(&exp.broadcast_div(&exp.sum_keepdim(axis).unwrap()).unwrap());
        let logarithms: Vec<f64> = expected.iter().map(|y| y.ln()).collect();
        for x in [x.clone(), scattered(&x), turned(&x)] {
            expect("softmax", &values(&softmax(&x, axis).unwrap()), &expected, 1e-14);
            expect("log_softmax", &values(&log_softmax(&x, axis).unwrap()), &logarithms, 1e-14);
        }
        let single = x.to_dtype(DType::F32).unwrap();
        expect("softmax", &values(&softmax(&single, axis).unwrap()), &expected, 2e-6);
        expect("log_softmax", &values(&log_softmax(&single, axis).unwrap()), &logarithms, 2e-6);
    }

    #[test]
    fn prelu_in_any_layout(
        shape in prop::collection::vec(0..5usize, 0..5),
        one in any::<bool>(),
        seed in 0..1000u64,
    ) {
        let (x, channels) = (reals(&shape, seed), shape.get(1).copied().filter(|_| !one).unwrap_or(1));
        let weight = reals(&[channels], seed + 1);
        let inner: usize = shape.iter().skip(2).product();
        let slope = |at: usize| values(&weight)[if channels == 1 { 0 } else { at / inner % channels }];
        let expected: Vec<f64> =
            values(&x).iter().enumerate().map(|(at, &x)| if x > 0. { x } else { slope(at) * x }).collect();
        for x in [x.clone(), scattered(&x), turned(&x)] {
            prop_assert_eq!(values(&prelu(&x, &scattered(&weight)).unwrap()), expected.clone());
        }
    }
}

#[test]
fn finite_differences() {
    // No point lies within a step of a kink of any of them.
    let x = reals(&[3, 5, 4], 1);
    let wide = (&x * 2.).unwrap();
    for (name, f) in ACTIVATIONS {
        let check = GradCheck::new(name).forbid_wasted_gradients();
        for x in [&x, &wide] {
            check.check(|x: &[Tensor]| f(&x[0]), std::slice::from_ref(x)).unwrap().assert_passed();
            check.check_second_order(|x: &[Tensor]| f(&x[0]), std::slice::from_ref(x)).unwrap().assert_passed();
        }
        // Where a piece has no curvature of its own, the derivative must go on through its gradient.
        let inside = |x: &[Tensor]| f(&x[0].sqr()?.affine(1., -0.55)?);
        check.check_second_order(inside, std::slice::from_ref(&x)).unwrap().assert_passed();
    }
}

#[test]
fn finite_differences_along_an_axis() {
    let x = reals(&[3, 4, 2], 5);
    for axis in 0..3 {
        let functions = [softmax::<usize>, log_softmax::<usize>];
        for (name, f) in ["softmax", "log_softmax"].into_iter().zip(functions) {
            let check = GradCheck::new(name).forbid_wasted_gradients();
            check.check(|x: &[Tensor]| f(&x[0], axis), std::slice::from_ref(&x)).unwrap().assert_passed();
            check.check_second_order(|x: &[Tensor]| f(&x[0], axis), std::slice::from_ref(&x)).unwrap().assert_passed();
        }
    }
    let check = GradCheck::new("glu");
    for axis in 1..3 {
        check.check(|x: &[Tensor]| glu(&x[0], axis), std::slice::from_ref(&x)).unwrap().assert_passed();
        check.check_second_order(|x: &[Tensor]| glu(&x[0], axis), std::slice::from_ref(&x)).unwrap().assert_passed();
    }
    let check = GradCheck::new("prelu").input_names(["x", "weight"]).forbid_wasted_gradients();
    for (shape, channels) in [(vec![3, 4, 2], 4), (vec![3, 4], 4), (vec![3, 4, 2], 1), (vec![5], 1)] {
        let inputs = [reals(&shape, 6), reals(&[channels], 7)];
        check.check(|x: &[Tensor]| prelu(&x[0], &x[1]), &inputs).unwrap().assert_passed();
        check
            .check_second_order(|x: &[Tensor]| prelu(&x[0].sqr()?.affine(1., -0.55)?, &x[1]), &inputs)
            .unwrap()
            .assert_passed();
    }
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let x = Var::from_tensor(&reals(&[5, 4, 101, 23], 2).to_dtype(DType::F32).unwrap()).unwrap();
    let weights = [1, 4].map(|count| Var::from_tensor(&reals(&[count], 3).to_dtype(DType::F32).unwrap()).unwrap());
    same_on_any_threads(|| {
        let mut results = Vec::new();
        let mut keep = |y: Tensor| {
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let variables = std::iter::once(&x).chain(&weights).filter_map(|var| grads.get(var).cloned());
            results.extend(variables.chain([y]));
        };
        ACTIVATIONS.iter().for_each(|(_, f)| keep(f(&x).unwrap()));
        weights.iter().for_each(|weight| keep(prelu(&x, weight).unwrap()));
        keep(softmax(&x, 1).unwrap());
        keep(log_softmax(&x, D::Minus1).unwrap());
        keep(glu(&x, 1).unwrap());
        results
    });
}

#[test]
fn halves() {
    let x = [reals(&[3, 4, 2], 8)];
    for (_, f) in ACTIVATIONS {
        halves_round_once(|t| f(&t[0]).unwrap(), &x);
    }
    halves_round_once(|t| glu(&t[0], 1).unwrap(), &x);
    // Their gradients are taken from outputs that were rounded.
    for f in [|x: &Tensor| softmax(x, 1).unwrap(), |x: &Tensor| log_softmax(x, 1).unwrap()] {
        let half = x[0].to_dtype(DType::BF16).unwrap();
        let single = f(&half.to_dtype(DType::F32).unwrap());
        assert_eq!(values(&f(&half)), values(&single.to_dtype(DType::BF16).unwrap()));
    }
    halves_round_once(|t| prelu(&t[0], &t[1]).unwrap(), &[x[0].clone(), reals(&[4], 9)]);
}

#[test]
fn empty_tensors_and_extents_of_one() {
    let empty = Tensor::zeros((0, 3, 4), DType::F32, &Device::Cpu).unwrap();
    for (_, f) in ACTIVATIONS {
        assert_eq!(f(&empty).unwrap().dims(), [0, 3, 4]);
        assert!(gradient(f, &empty, &empty).is_empty());
    }
    assert_eq!(softmax(&empty, 1).unwrap().dims(), [0, 3, 4]);
    assert_eq!(log_softmax(&empty, 0).unwrap().dims(), [0, 3, 4]);
    assert_eq!(glu(&empty, 2).unwrap().dims(), [0, 3, 2]);
    let weight = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let y = prelu(&empty, &weight).unwrap();
    assert_eq!(y.dims(), [0, 3, 4]);
    assert_eq!(values(y.sum_all().unwrap().backward().unwrap().get(&weight).unwrap()), [0.; 3]);
    let one = Tensor::new(&[[[7f64]]], &Device::Cpu).unwrap();
    assert_eq!(values(&softmax(&one, 1).unwrap()), [1.]);
    assert_eq!(values(&log_softmax(&one, 1).unwrap()), [0.]);
}

#[test]
fn refusals_name_the_values() {
    let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let refused = |result: Result<Tensor>, message: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{error:?}");
        assert_eq!(error.to_string(), message);
    };
    refused(leaky_relu(&x, f64::INFINITY), "leaky_relu: negative_slope must be finite, got inf");
    refused(elu(&x, f64::NAN), "elu: alpha must be finite, got NaN");
    refused(celu(&x, 0.), "celu: alpha must be finite and other than 0, got 0");
    refused(softplus(&x, 0., 20.), "softplus: beta must be finite and other than 0, got 0");
    refused(softplus(&x, 1., f64::NAN), "softplus: threshold must be a number, got NaN");
    refused(threshold(&x, f64::NAN, 1.), "threshold: threshold must be a number, got NaN");
    refused(hardtanh(&x, 1., 0.5), "hardtanh: min_val must be at most max_val, got 1");
    refused(hardtanh(&x, f64::NAN, 0.5), "hardtanh: min_val must be at most max_val, got NaN");
    refused(hardshrink(&x, -0.5), "hardshrink: lambda must be finite and not negative, got -0.5");
    refused(softshrink(&x, -0.5), "softshrink: lambda must be finite and not negative, got -0.5");
    let error = glu(&x, 1).unwrap_err();
    assert!(matches!(error, Error::Indivisible { value: 3, divisor: 2, .. }));
    assert_eq!(error.to_string(), "glu: the extent of the axis (=3) must be divisible by 2");

    let weight = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let error = prelu(&x, &weight(&[2])).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "weight", .. }));
    assert_eq!(error.to_string(), "prelu: weight must have shape [3], got [2]");
    assert!(matches!(prelu(&x, &weight(&[])).unwrap_err(), Error::Rank { argument: "weight", .. }));
    assert!(matches!(prelu(&weight(&[3]), &weight(&[3])).unwrap_err(), Error::Shape { argument: "weight", .. }));
    let error = prelu(&x, &weight(&[3]).to_dtype(DType::F64).unwrap()).unwrap_err();
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));

    for error in [softmax(&x, 2).unwrap_err(), log_softmax(&x, 2).unwrap_err(), glu(&x, 2).unwrap_err()] {
        assert!(error.to_string().contains("out of range"), "{error}");
    }
    let integers = x.to_dtype(DType::U32).unwrap();
    for (name, f) in ACTIVATIONS {
        let error = f(&integers).unwrap_err();
        assert!(matches!(error, Error::DType { dtype: DType::U32, .. }), "{name}: {error}");
    }
    let message = "relu: dtype U32 is not supported, convert to one of bf16, f16, f32, f64 with `to_dtype`";
    assert_eq!(relu(&integers).unwrap_err().to_string(), message);
}

#[test]
fn a_third_derivative_is_refused_unless_it_is_zero() {
    let third = |f: Activation| {
        // The function checked twice is a derivative already.
        let derivative = |x: &[Tensor]| -> candle_core::Result<Tensor> {
            let x = if x[0].track_op() { x[0].clone() } else { Var::from_tensor(&x[0])?.into_inner() };
            let grads = f(&x)?.sum_all()?.backward()?;
            Ok(grads.get(&x).unwrap().clone())
        };
        GradCheck::new("derivative").check_second_order(derivative, &[reals(&[3], 4)])
    };
    let message = "sigmoid: only the first and second derivatives are implemented, not the third";
    assert!(third(sigmoid).unwrap().to_string().contains(message));
    third(hardswish).unwrap().assert_passed();
}
