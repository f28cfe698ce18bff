//! DropBlock against its formula, its statistics, differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "one product is rounded, here and in the formula")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::draws::{DRAW, word};
use support::layouts::{halves_round_once, reals, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::GradCheck;
use taper_ops::{Draw, Error, drop_block2d, dropout2d};

/// Which elements no block covers, by the formula: an element is dropped where any block that holds it starts.
fn kept(shape: &[usize], p: f64, block_size: usize, draw: Draw) -> Vec<bool> {
    let [lead @ .., h, w] = shape else { panic!("{shape:?}") };
    let b = block_size.min(*h).min(*w);
    let (down, across) = (h - b + 1, w - b + 1);
    let gamma = (p * (h * w) as f64 / ((b * b) as f64 * (down * across) as f64)).min(1.);
    let channels = lead[lead.len() - 1] as u64;
    let starts = |plane: usize, i: usize, j: usize| {
        let e = ((draw.first_sample * channels + plane as u64) * down as u64 + i as u64) * across as u64 + j as u64;
        u64::from(word(draw, e)) < (gamma * 4_294_967_296.) as u64
    };
    let planes = lead.iter().product::<usize>();
    let elements = (0..planes).flat_map(|n| (0..*h).flat_map(move |r| (0..*w).map(move |c| (n, r, c))));
    let held = |(plane, r, c): (usize, usize, usize)| {
        let (rows, columns) =
            ((r + 1).saturating_sub(b)..=r.min(down - 1), (c + 1).saturating_sub(b)..=c.min(across - 1));
        rows.into_iter().any(|i| columns.clone().any(|j| starts(plane, i, j)))
    };
    elements.map(|at| !held(at)).collect()
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn the_formula_in_any_layout(
        lead in prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])],
        (h, w, block_size) in (1..9usize, 1..9usize, 1..6usize),
        p in prop_oneof![0.001f64..0.6, Just(1.)],
        (seed, step, layer, first_sample) in (any::<u64>(), any::<u32>(), any::<u32>(), 0..u64::MAX >> 20),
        dtype in prop_oneof![Just(DType::F32), Just(DType::F64)],
    ) {
        let draw = Draw { seed, step, layer, first_sample };
        let shape = [lead.as_slice(), &[h, w]].concat();
        let x = reals(&shape, 1).to_dtype(dtype).unwrap();
        let kept = kept(&shape, p, block_size, draw);
        let scale = kept.len() as f64 / kept.iter().filter(|kept| **kept).count().max(1) as f64;
        let expected: Vec<f64> = values(&x).iter().zip(kept).map(|(x, kept)| match (kept, dtype) {
            (false, _) => 0.,
            (true, DType::F32) => f64::from(*x as f32 * scale as f32),
            (true, _) => x * scale,
        }).collect();
        for x in [x.clone(), scattered(&x), turned(&x)] {
            let y = drop_block2d(&x, p, block_size, draw).unwrap();
            prop_assert_eq!((y.dims(), y.dtype(), values(&y)), (shape.as_slice(), dtype, expected.clone()));
        }
    }
}

#[test]
fn gradients() {
    let x = [reals(&[2, 3, 5, 4], 1)];
    let check = GradCheck::new("drop_block2d").forbid_wasted_gradients();
    let linear = check.clone().linear_in([0]);
    linear.check(|x: &[Tensor]| drop_block2d(&x[0], 0.4, 2, DRAW), &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| drop_block2d(&x[0].sqr()?, 0.4, 2, DRAW), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| drop_block2d(&x[0], 0.4, 2, DRAW)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

/// Blocks are those of the whole batch; only the scale is of the piece.
#[test]
fn a_batch_in_pieces_draws_the_blocks_of_the_whole() {
    let x = Tensor::ones((5, 3, 7, 6), DType::F64, &Device::Cpu).unwrap();
    let zeros = |y: &Tensor| values(y).iter().map(|&y| y == 0.).collect::<Vec<_>>();
    let whole = zeros(&drop_block2d(&x, 0.3, 3, DRAW).unwrap());
    for cut in 1..5 {
        let piece = |first: usize, len: usize| {
            let draw = Draw { first_sample: DRAW.first_sample + first as u64, ..DRAW };
            zeros(&drop_block2d(&x.narrow(0, first, len).unwrap(), 0.3, 3, draw).unwrap())
        };
        assert_eq!([piece(0, cut), piece(cut, 5 - cut)].concat(), whole);
    }
}

/// An element is kept where none of the `b²` blocks that could hold it starts: (1 − γ)^(b²) away from the border.
#[test]
fn inner_elements_are_kept_as_often_as_the_formula_says() {
    let x = Tensor::ones((200, 10, 23, 27), DType::F64, &Device::Cpu).unwrap();
    for (p, b) in [(0.1, 3), (0.3, 4), (0.5, 7)] {
        let y = drop_block2d(&x, p, b, DRAW).unwrap();
        assert!((y.mean_all().unwrap().to_scalar::<f64>().unwrap() - 1.).abs() < 1e-9);
        let inner = y.narrow(2, b - 1, 25 - 2 * b).unwrap().narrow(3, b - 1, 29 - 2 * b).unwrap();
        let rate = values(&inner).iter().filter(|&&y| y != 0.).count() as f64 / inner.elem_count() as f64;
        let gamma = p * (23. * 27.) / ((b * b) as f64 * ((24 - b) * (28 - b)) as f64);
        let expected = (1. - gamma).powi((b * b) as i32);
        assert!((rate - expected).abs() < 0.01, "p = {p}, b = {b}: {rate}, not {expected}");
    }
}

#[test]
fn a_block_of_the_whole_map_is_dropout_of_channels() {
    let x = Tensor::ones((40, 30, 4, 4), DType::F64, &Device::Cpu).unwrap();
    let (y, channels) = (drop_block2d(&x, 0.3, 9, DRAW).unwrap(), dropout2d(&x, 0.3, DRAW).unwrap());
    let zeros = |y: &Tensor| values(y).iter().map(|&y| y == 0.).collect::<Vec<_>>();
    assert_eq!(zeros(&y), zeros(&channels));
}

#[test]
fn nothing_dropped_is_the_same_tensor_and_all_dropped_is_zero() {
    let x = Var::from_tensor(&Tensor::full(f64::NAN, (2, 3, 4, 4), &Device::Cpu).unwrap()).unwrap();
    assert_eq!(drop_block2d(&x, 0., 3, DRAW).unwrap().id(), x.id());
    let y = drop_block2d(&x, 1., 4, DRAW).unwrap();
    let dx = y.backward().unwrap().get(&x).unwrap().clone();
    assert!([&y, &dx].iter().all(|t| values(t).iter().all(|v| v.to_bits() == 0)));
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let y = drop_block2d(&x, 0.5, 3, DRAW).unwrap();
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    assert!(!drop_block2d(&reals(&[2, 3, 4, 6], 1), 0.5, 2, DRAW).unwrap().track_op());
}

#[test]
fn halves() {
    halves_round_once(|t| drop_block2d(&t[0], 0.3, 2, DRAW).unwrap(), &[reals(&[2, 3, 7, 6], 4)]);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let x = Var::from_tensor(&reals(&[7, 31, 19, 17], 3).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = drop_block2d(&x, 0.2, 3, DRAW).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        vec![grads.get(&x).unwrap().clone(), y]
    });
}

#[test]
fn refusals_name_the_values() {
    let x = reals(&[2, 3, 5, 4], 1);
    for p in [-0.1, 1.5, f64::NAN] {
        let error = drop_block2d(&x, p, 3, DRAW).unwrap_err();
        assert!(matches!(error, Error::Probability { .. }));
        assert_eq!(error.to_string(), format!("drop_block2d: the probability must lie between 0 and 1, got {p}"));
    }
    let error = drop_block2d(&x, 0.5, 0, DRAW).unwrap_err();
    assert!(matches!(error, Error::NotPositive { argument: "block_size", .. }));
    assert_eq!(error.to_string(), "drop_block2d: block_size must be positive, got [0]");
    let error = drop_block2d(&reals(&[3, 4], 1), 0.5, 2, DRAW).unwrap_err();
    assert!(matches!(error, Error::Rank { argument: "input", .. }));
    assert_eq!(error.to_string(), "drop_block2d: input must have 3 or 4 dimensions, got shape [3, 4]");
    let error = drop_block2d(&reals(&[2, 3, 0, 4], 1), 0.5, 2, DRAW).unwrap_err();
    assert!(matches!(error, Error::NotPositive { .. }), "{error}");
    let message = "drop_block2d: every extent of a plane of the input must be positive, got [0, 4]";
    assert_eq!(error.to_string(), message);
    let error = drop_block2d(&x, 0.5, 2, Draw { first_sample: u64::MAX / 8, ..DRAW }).unwrap_err();
    assert!(matches!(error, Error::Overflow { op: "drop_block2d", .. }), "{error}");
    let error = drop_block2d(&x.to_dtype(DType::I64).unwrap(), 0.5, 2, DRAW).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::I64, .. }), "{error}");
}
