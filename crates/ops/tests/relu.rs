//! relu against the reference's vectors, the formula, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "relu rounds nothing")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::Count;
use support::layouts::{reals, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::GradCheck;
use taper_ops::{Error, relu};

#[test]
fn golden() {
    let count = support::check(
        "activation",
        |case| case.kwargs["name"] == "relu",
        |_, inputs| relu(&inputs["input"]).map(|y| Some(vec![y])),
        |case, error| panic!("{}: {error}", case.id),
    );
    assert_eq!(count, Count { passed: 3, refused: 0 });
}

/// The gradient of Σ c · relu(x) by x.
fn gradient(x: &Tensor, c: &Tensor) -> Vec<f64> {
    let x = Var::from_tensor(x).unwrap();
    let loss = (relu(&x).unwrap() * c).unwrap().sum_all().unwrap();
    values(loss.backward().unwrap().get(&x).unwrap())
}

#[test]
fn zeros_nan_and_infinities() {
    let x =
        Tensor::new(&[-0f64, 0., f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310, -1e-310], &Device::Cpu).unwrap();
    let y = values(&relu(&x).unwrap());
    assert!(y[2].is_nan());
    assert_eq!([y[0], y[1], y[3], y[4], y[5], y[6]], [0., 0., f64::INFINITY, 0., 1e-310, 0.]);
    assert_eq!(gradient(&x, &Tensor::full(3f64, 7, &Device::Cpu).unwrap()), [0., 0., 3., 3., 0., 3., 0.]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_formula_in_any_layout(
        shape in prop::collection::vec(0..6usize, 0..4),
        dtype in prop_oneof![Just(DType::F32), Just(DType::F64)],
        pool in prop::collection::vec(prop_oneof![Just(0.), -9f64..9.], 250),
    ) {
        let count = shape.iter().product();
        let make = |values: &[f64]| Tensor::from_slice(values, shape.as_slice(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let (x, c) = (make(&pool[..count]), make(&pool[125..125 + count]));
        let y: Vec<f64> = values(&x).iter().map(|x| x.max(0.)).collect();
        let dx: Vec<f64> = values(&x).iter().zip(values(&c)).map(|(&x, c)| if x > 0. { c } else { 0. }).collect();
        for x in [x.clone(), scattered(&x), turned(&x)] {
            prop_assert_eq!(values(&relu(&x).unwrap()), y.clone());
            prop_assert_eq!(gradient(&x, &scattered(&c)), dx.clone());
        }
        let broadcast = x.broadcast_left(3).unwrap();
        prop_assert_eq!(values(&relu(&broadcast).unwrap()), y.repeat(3));
    }
}

#[test]
fn finite_differences() {
    let x = reals(&[3, 5, 2], 1);
    let check = GradCheck::new("relu").forbid_wasted_gradients();
    check.check(|x: &[Tensor]| relu(&x[0]), std::slice::from_ref(&x)).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| relu(&x[0]), std::slice::from_ref(&x)).unwrap().assert_passed();
    // On its own relu has no curvature: its derivative must go on through its gradient.
    check.check_second_order(|x: &[Tensor]| relu(&x[0].sqr()?.affine(1., -0.5)?), &[x]).unwrap().assert_passed();
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let x = Var::from_tensor(&reals(&[5, 3, 101, 103], 2).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = relu(&x).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        vec![grads.get(&x).unwrap().clone(), y]
    });
}

#[test]
fn integers_are_refused() {
    let error = relu(&Tensor::zeros((2, 3), DType::U32, &Device::Cpu).unwrap()).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::U32, .. }));
    assert_eq!(
        error.to_string(),
        "relu: dtype U32 is not supported, convert to one of bf16, f16, f32, f64 with `to_dtype`"
    );
}
