//! dropout against its formula, a known answer, its own statistics, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "dropout rounds one product, here and in the formula")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::layouts::{reals, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::GradCheck;
use taper_ops::random::{counter, philox4x32};
use taper_ops::{Draw, Error, dropout};

const DRAW: Draw = Draw { seed: 0x0123_4567_89ab_cdef, step: 5, layer: 3, first_sample: 2 };

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F64, &Device::Cpu).unwrap()
}

/// Which elements are kept, by the formula, one by one.
fn kept(shape: &[usize], p: f64, draw: Draw) -> Vec<bool> {
    let per_sample: usize = shape.iter().skip(1).product();
    let first = draw.first_sample * per_sample as u64;
    let keep = |index: u64| {
        let words = philox4x32(draw.seed, counter(index / 4, draw.step, draw.layer));
        u64::from(words[(index % 4) as usize]) >= (p * 4_294_967_296.) as u64
    };
    (0..shape.iter().product::<usize>() as u64).map(|local| keep(first + local)).collect()
}

/// Computed by a program of its own, in another language, from the definition of Philox4x32-10.
#[test]
fn known_answer() {
    let kept = |first_sample| {
        let y = dropout(&ones(&[3, 7]), 0.4, Draw { first_sample, ..DRAW }).unwrap();
        values(&y).iter().map(|&y| if y == 0. { '0' } else { '1' }).collect::<String>()
    };
    assert_eq!(kept(2), "111100010001011010010");
    // An index of more than 32 bits, even after the division by four.
    assert_eq!(kept(3 << 33), "111011110001101011111");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_formula_in_any_layout(
        shape in prop::collection::vec(0..9usize, 0..4),
        p in prop_oneof![Just(0.), Just(1.), Just(1e-12), Just(1. - 1e-12), 0f64..1.],
        (seed, step, layer, first_sample) in (any::<u64>(), any::<u32>(), any::<u32>(), 0..u64::MAX >> 20),
        dtype in prop_oneof![Just(DType::F32), Just(DType::F64)],
    ) {
        let draw = Draw { seed, step, layer, first_sample };
        let count = shape.iter().product::<usize>();
        let x = Tensor::from_iter((0..count).map(|i| i as f64 - 7.5), &Device::Cpu).unwrap();
        let x = x.reshape(shape.as_slice()).unwrap().to_dtype(dtype).unwrap();
        let scale = 1. / (1. - p);
        let expected: Vec<f64> = values(&x).iter().zip(kept(&shape, p, draw)).map(|(x, keep)| match (keep, dtype) {
            (false, _) => 0.,
            (true, DType::F32) => f64::from(*x as f32 * scale as f32),
            (true, _) => x * scale,
        }).collect();
        for x in [x.clone(), scattered(&x), turned(&x)] {
            prop_assert_eq!(values(&dropout(&x, p, draw).unwrap()), expected.clone());
        }
    }

    /// Lengths around the runs and blocks that the kernel cuts, from any word of a counter on.
    #[test]
    fn long_tensors(first_sample in 0..10_000u64, count in prop_oneof![60..70usize, 4000..4200usize, 70_000..70_100usize]) {
        let draw = Draw { first_sample, ..DRAW };
        let y = dropout(&ones(&[count]), 0.3, draw).unwrap();
        let expected: Vec<f64> = kept(&[count], 0.3, draw).iter().map(|&keep| f64::from(keep) / (1. - 0.3)).collect();
        prop_assert!(values(&y) == expected);
    }
}

#[test]
fn backward_draws_the_same_mask() {
    let x = Var::from_tensor(&ones(&[4, 3, 5])).unwrap();
    let c = reals(&[4, 3, 5], 2);
    let y = dropout(&x, 0.25, DRAW).unwrap();
    let grads = (&y * &c).unwrap().sum_all().unwrap().backward().unwrap();
    // On an input of ones the output is the mask, scaled.
    assert_eq!(values(grads.get(&x).unwrap()), values(&(y * c).unwrap()));
}

#[test]
fn finite_differences() {
    let x = reals(&[3, 5, 2], 1);
    let check = GradCheck::new("dropout").forbid_wasted_gradients();
    let linear = check.clone().linear_in([0]);
    linear.check(|x: &[Tensor]| dropout(&x[0], 0.4, DRAW), std::slice::from_ref(&x)).unwrap().assert_passed();
    // On its own dropout has no curvature: its derivative must go on through its gradient.
    check.check_second_order(|x: &[Tensor]| dropout(&x[0].sqr()?, 0.4, DRAW), &[x]).unwrap().assert_passed();
}

#[test]
fn a_batch_in_pieces_draws_the_mask_of_the_whole() {
    let x = ones(&[7, 3, 5]);
    let whole = dropout(&x, 0.5, DRAW).unwrap();
    for cut in 1..7 {
        let piece = |first: usize, len: usize| {
            let draw = Draw { first_sample: DRAW.first_sample + first as u64, ..DRAW };
            values(&dropout(&x.narrow(0, first, len).unwrap(), 0.5, draw).unwrap())
        };
        assert_eq!([piece(0, cut), piece(cut, 7 - cut)].concat(), values(&whole));
    }
}

#[test]
fn each_part_of_a_draw_changes_the_mask() {
    let mask = |draw| values(&dropout(&ones(&[16, 16]), 0.5, draw).unwrap());
    let others = [
        Draw { seed: DRAW.seed ^ 1, ..DRAW },
        Draw { seed: DRAW.seed ^ 1 << 63, ..DRAW },
        Draw { step: 6, ..DRAW },
        Draw { layer: 4, ..DRAW },
        Draw { first_sample: 3, ..DRAW },
    ];
    for other in others {
        assert_ne!(mask(other), mask(DRAW), "{other:?}");
    }
}

/// Within 5 σ of the binomial distribution, and the mean of the output with it.
#[test]
fn the_keep_rate_is_one_minus_p() {
    let n = 1_000_000usize;
    for p in [0.1, 0.5, 0.9] {
        let y = dropout(&ones(&[1000, 1000]), p, DRAW).unwrap();
        let kept = values(&y).iter().filter(|&&y| y != 0.).count() as f64;
        let sigma = (n as f64 * p * (1. - p)).sqrt();
        assert!((kept - n as f64 * (1. - p)).abs() < 5. * sigma, "p = {p}: {kept} kept");
    }
}

#[test]
fn what_is_dropped_is_zero_whatever_it_was() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let x = Var::from_tensor(&(ones(&[8, 9]) * bad).unwrap()).unwrap();
        for p in [0.5, 1.] {
            let y = dropout(&x, p, DRAW).unwrap();
            let grads = (&y * bad).unwrap().sum_all().unwrap().backward().unwrap();
            let keep = kept(&[8, 9], p, DRAW);
            for ((y, dx), keep) in values(&y).iter().zip(values(grads.get(&x).unwrap())).zip(keep) {
                assert!(keep != (y.to_bits() == 0) && keep != (dx.to_bits() == 0), "{y} {dx} {keep}");
            }
        }
    }
}

#[test]
fn nothing_dropped_is_the_same_tensor() {
    let x = ones(&[2, 3]);
    assert_eq!(dropout(&x, 0., DRAW).unwrap().id(), x.id());
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let x = Var::from_tensor(&reals(&[3, 71_003], 3).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = dropout(&x, 0.3, DRAW).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        vec![grads.get(&x).unwrap().clone(), y]
    });
}

#[test]
fn refusals_name_the_values() {
    let x = ones(&[2, 3]);
    for p in [-0.1, 1.5, f64::NAN, f64::INFINITY] {
        let error = dropout(&x, p, DRAW).unwrap_err();
        assert!(matches!(error, Error::Probability { op: "dropout", .. }));
        assert_eq!(error.to_string(), format!("dropout: the probability must lie between 0 and 1, got {p}"));
    }
    let error = dropout(&x.to_dtype(DType::I64).unwrap(), 0.5, DRAW).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::I64, .. }));
    let error = dropout(&x, 0.5, Draw { first_sample: u64::MAX / 2, ..DRAW }).unwrap_err();
    assert!(matches!(error, Error::Overflow { op: "dropout", .. }));
    let message = "dropout: the size of the batch that first_sample counts in overflows; use smaller extents";
    assert_eq!(error.to_string(), message);
}
