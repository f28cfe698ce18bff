//! linear against its formula, its own adjoints, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::close;
use support::layouts::{integers, reals, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::GradCheck;
use taper_ops::{Error, linear};

/// y, dx, dw and db for the cotangent `dy`, term by term.
fn naive([rows, i, o]: [usize; 3], x: &[f64], w: &[f64], b: &[f64], dy: &[f64]) -> [Vec<f64>; 4] {
    let (mut y, mut dx, mut dw, mut db) = (vec![0.; rows * o], vec![0.; rows * i], vec![0.; o * i], vec![0.; o]);
    for row in 0..rows {
        for out in 0..o {
            let g = dy[row * o + out];
            y[row * o + out] = b[out];
            db[out] += g;
            for input in 0..i {
                y[row * o + out] += x[row * i + input] * w[out * i + input];
                dx[row * i + input] += g * w[out * i + input];
                dw[out * i + input] += g * x[row * i + input];
            }
        }
    }
    [y, dx, dw, db]
}

/// The same by the operator, from arguments laid out by `layout`.
fn ours(x: &Tensor, w: &Tensor, b: &Tensor, dy: &Tensor, layout: fn(&Tensor) -> Tensor) -> [Tensor; 4] {
    let [x, w, b] = [x, w, b].map(|tensor| Var::from_tensor(tensor).unwrap());
    let y = linear(&layout(&x), &layout(&w), Some(&layout(&b))).unwrap();
    let grads = (&y * layout(dy)).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |var: &Var| grads.get(var).unwrap().clone();
    [y, grad(&x), grad(&w), grad(&b)]
}

fn check(leading: &[usize], i: usize, o: usize, dtype: DType, layout: fn(&Tensor) -> Tensor) {
    let cast = |tensor: Tensor| tensor.to_dtype(dtype).unwrap();
    let [x, dy] = [i, o].map(|last| cast(integers(&[leading, &[last]].concat(), last)));
    let (w, b) = (cast(integers(&[o, i], 3)), cast(integers(&[o], 4)));
    let rows = leading.iter().product();
    let expected = naive([rows, i, o], &values(&x), &values(&w), &values(&b), &values(&dy));
    let found = ours(&x, &w, &b, &dy, layout);
    for (found, (expected, like)) in found.iter().zip(expected.iter().zip([&dy, &x, &w, &b])) {
        assert_eq!(found.dims(), like.dims());
        assert!(&values(found) == expected, "leading {leading:?}, {i} -> {o}, {dtype:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_formula_in_any_layout(
        leading in prop::collection::vec(0..7usize, 0..4),
        i in 0..20usize,
        o in 0..20usize,
        dtype in prop_oneof![Just(DType::F32), Just(DType::F64)],
        layout in prop_oneof![Just(scattered as fn(&Tensor) -> Tensor), Just(turned as _), Just(Tensor::clone as _)],
    ) {
        check(&leading, i, o, dtype, layout);
    }
}

/// Sizes that meet every way of cutting the work: several blocks of rows, of columns, and slices of the sums.
#[test]
fn large_products() {
    for (rows, i, o) in [(700, 90, 60), (3, 900, 1300), (1, 2100, 1100), (600, 1100, 2), (1030, 33, 129)] {
        check(&[rows], i, o, DType::F32, Tensor::clone);
    }
}

#[test]
fn broadcast_input() {
    let (row, w) = (integers(&[1, 5], 1), integers(&[3, 5], 2));
    let y = linear(&row.broadcast_as((4, 5)).unwrap(), &w, None).unwrap();
    assert_eq!(values(&y), values(&linear(&row, &w, None).unwrap()).repeat(4));
}

#[test]
fn a_bias_is_added_last() {
    let random = |shape: &[usize]| reals(shape, 1).to_dtype(DType::F32).unwrap();
    let (x, w, b) = (random(&[70, 1300]), random(&[130, 1300]), random(&[130]));
    let apart = linear(&x, &w, None).unwrap().broadcast_add(&b).unwrap();
    close("fused with its bias", &linear(&x, &w, Some(&b)).unwrap(), &apart, 0.);
}

#[test]
fn finite_differences() {
    let inputs = [reals(&[2, 3, 4], 1), reals(&[5, 4], 2), reals(&[5], 3)];
    let check = GradCheck::new("linear").input_names(["x", "weight", "bias"]).forbid_wasted_gradients();
    let linear_check = check.clone().linear_in([0, 1, 2]);
    let f = |x: &[Tensor]| linear(&x[0], &x[1], Some(&x[2]));
    linear_check.check(f, &inputs).unwrap().assert_passed();
    linear_check.check_second_order(f, &inputs).unwrap().assert_passed();
    // Between curved functions the incoming gradient depends on the inputs too.
    let curved = |x: &[Tensor]| f(&[x[0].sqr()?, x[1].sqr()?, x[2].clone()])?.sqr().map_err(Error::from);
    check.check_second_order(curved, &inputs).unwrap().assert_passed();

    let check = GradCheck::new("linear without a bias").linear_in([0, 1]).forbid_wasted_gradients();
    let f = |x: &[Tensor]| linear(&x[0], &x[1], None);
    check.check(f, &inputs[..2]).unwrap().assert_passed();
    check.check_second_order(f, &inputs[..2]).unwrap().assert_passed();
}

#[test]
fn an_untracked_input_gets_no_gradient() {
    let (x, w) = (integers(&[2, 3], 1), Var::from_tensor(&integers(&[4, 3], 2)).unwrap());
    let grads = linear(&x, &w, None).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let x = Var::from_tensor(&integers(&[3, 3], 1)).unwrap();
    let grads = linear(&x, &x, None).unwrap().sum_all().unwrap().backward().unwrap();
    let apart = x.matmul(&x.t().unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
    close("x as input and weight", grads.get(&x).unwrap(), apart.get(&x).unwrap(), 0.);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    for (rows, i, o) in [(300, 700, 90), (5, 1300, 900), (1, 2100, 1100), (2000, 3, 11)] {
        let shapes = [vec![rows, i], vec![o, i], vec![o], vec![rows, o]];
        let [x, w, b, dy] = shapes.map(|shape| reals(&shape, 2).to_dtype(DType::F32).unwrap());
        same_on_any_threads(|| ours(&x, &w, &b, &dy, Tensor::clone).to_vec());
    }
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, w, b) = (zeros(&[2, 3]), zeros(&[5, 3]), zeros(&[5]));
    let refused = |x: &Tensor, w: &Tensor, b: &Tensor| linear(x, w, Some(b)).unwrap_err();
    let error = refused(&zeros(&[2, 4]), &w, &b);
    assert!(matches!(error, Error::Shape { argument: "input", .. }));
    assert_eq!(error.to_string(), "linear: input must have shape [2, 3], got [2, 4]");
    let error = refused(&zeros(&[]), &w, &b);
    assert!(matches!(error, Error::Rank { argument: "input", .. }));
    assert_eq!(error.to_string(), "linear: input must have 1 or more dimensions, got shape []");
    let error = refused(&x, &zeros(&[5, 3, 1]), &b);
    assert!(matches!(error, Error::Rank { argument: "weight", .. }));
    assert_eq!(error.to_string(), "linear: weight must have 2 dimensions, got shape [5, 3, 1]");
    let error = refused(&x, &w, &zeros(&[3]));
    assert!(matches!(error, Error::Shape { argument: "bias", .. }));
    assert_eq!(error.to_string(), "linear: bias must have shape [5], got [3]");
    let error = refused(&x, &w.to_dtype(DType::F64).unwrap(), &b);
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }));
    let [x, w, b] = [x, w, b].map(|tensor| tensor.to_dtype(DType::U8).unwrap());
    assert!(matches!(refused(&x, &w, &b), Error::DType { op: "linear", dtype: DType::U8, .. }));
}
