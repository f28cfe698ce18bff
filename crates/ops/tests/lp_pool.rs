//! Power-average pooling against the reference's vectors, its formula, the poolings at its ends, differences, and bad
//! arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is exact is compared exactly")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, values};
use support::pooling::{Geometry, Undefined, filled, geometry, layouts, pattern};
use support::{Case, Count, close};
use taper_gradcheck::strategies::distinct;
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{Error, LpPoolSpec, Result, lp_pool1d, lp_pool2d, lp_pool3d};

type Op<const D: usize> = fn(&Tensor, &LpPoolSpec<D>) -> Result<Tensor>;

fn golden_of<const D: usize>(op: Op<D>) -> Count {
    // One number or one an axis.
    let axes = |case: &Case, name: &str| match case.kwargs[name].as_u64() {
        Some(number) => [number as usize; D],
        None => case.axes::<D>(name).unwrap(),
    };
    support::check(
        &format!("lp_pool{D}d"),
        |_| true,
        |case, inputs| {
            let spec = LpPoolSpec::new(case.kwargs["norm_type"].as_f64().unwrap(), axes(case, "kernel_size"));
            let spec = if case.kwargs["stride"].is_null() { spec } else { spec.stride(axes(case, "stride")) };
            op(&inputs["input"], &spec.ceil_mode(case.flag("ceil_mode"))).map(|y| Some(vec![y]))
        },
        |case, error: &Error| panic!("{}: {error}, but the reference refuses nothing", case.id),
    )
}

#[test]
fn golden() {
    let all = || Count { passed: 24, refused: 0 };
    assert_eq!([golden_of(lp_pool1d), golden_of(lp_pool2d), golden_of(lp_pool3d)], [all(), all(), all()]);
}

fn spec_of<const D: usize>(geometry: &Geometry<D>, p: f64) -> LpPoolSpec<D> {
    LpPoolSpec::new(p, geometry.kernel).stride(geometry.stride).ceil_mode(geometry.ceil_mode)
}

/// Values and gradients are the formula's, in both dtypes and however the input lies.
fn is_the_formula<const D: usize>(op: Op<D>, g: &Geometry<D>, p: f64, fill: &[f64], layout: MemoryLayout) {
    let g = Geometry { padding: [0; D], ..g.clone() };
    let plane: usize = g.extents.iter().product();
    let volume: f64 = g.kernel.iter().map(|&k| k as f64).product();
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let leaf = Var::from_tensor(&filled(fill, &g.shape()).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let (windows, y) = match (g.windows(), op(&x, &spec_of(&g, p))) {
            (Ok(windows), Ok(y)) => (windows, y),
            (Err(Undefined::KernelTooLarge), Err(Error::KernelTooLarge { .. })) => return,
            (windows, y) => panic!("formula: {:?}, operator: {:?}", windows.err(), y.err()),
        };
        // Of one sign, so that no sum cancels.
        let weight = (integers(y.dims(), 3) + 4.).unwrap().to_dtype(dtype).unwrap();
        let dy = values(&weight);
        let (mut norms, mut dx) = (Vec::new(), vec![0.; x.elem_count()]);
        for (n, x) in values(&x).chunks_exact(plane).enumerate() {
            for window in &windows {
                let mean = window.elements.iter().map(|&at| x[at].powf(p)).sum::<f64>() / window.elements.len() as f64;
                let norm = (mean * volume).powf(1. / p);
                for &at in window.elements.iter().filter(|_| mean != 0.) {
                    let share = volume / window.elements.len() as f64;
                    dx[n * plane + at] += dy[norms.len()] * share * (x[at] / norm).powf(p - 1.);
                }
                norms.push(norm);
            }
        }
        let norms = Tensor::from_vec(norms, y.shape(), &Device::Cpu).unwrap();
        assert_eq!((y.dtype(), y.dims()), (dtype, [g.lead.as_slice(), &g.output().unwrap()].concat().as_slice()));
        close("y", &y, &norms, tolerance);
        let dx = Tensor::from_vec(dx, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let grad = |y: &Tensor, weight: &Tensor| {
            (y * weight).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone()
        };
        close("dx", &grad(&y, &weight), &grad(&x, &dx).to_dtype(DType::F64).unwrap(), tolerance);
    }
}

fn gradients_of<const D: usize>(op: Op<D>, g: &Geometry<D>, p: f64, x: &Tensor) {
    let g = Geometry { padding: [0; D], ..g.clone() };
    // A kernel that fitted with the padding only is refused without it, as `refusals_name_the_values` says.
    if g.output().is_err() {
        return;
    }
    let (spec, x) = (spec_of(&g, p), std::slice::from_ref(x));
    let check = GradCheck::new(format!("lp_pool{D}d, p = {p}")).forbid_wasted_gradients();
    check.check(|x: &[Tensor]| op(&x[0], &spec), x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| op(&x[0], &spec), x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| op(&(x[0].sqr()? + 0.5)?, &spec), x).unwrap().assert_passed();
}

fn powers() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.5), Just(1.), Just(1.5), Just(2.), Just(2.5), Just(3.), Just(4.), 1f64..6.]
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn one_axis_is_the_formula(
        g in geometry(1..=1), p in powers(), fill in pattern(&[0., 0., 0.25, 1., 1.5, 3.]), layout in layouts(),
    ) {
        is_the_formula::<1>(lp_pool1d, &g, p, &fill, layout);
    }

    #[test]
    fn two_axes_are_the_formula(
        g in geometry(1..=1), p in powers(), fill in pattern(&[0., 0., 0.25, 1., 1.5, 3.]), layout in layouts(),
    ) {
        is_the_formula::<2>(lp_pool2d, &g, p, &fill, layout);
    }

    #[test]
    fn three_axes_are_the_formula(
        g in geometry(1..=1), p in powers(), fill in pattern(&[0., 0., 0.25, 1., 1.5, 3.]), layout in layouts(),
    ) {
        is_the_formula::<3>(lp_pool3d, &g, p, &fill, layout);
    }

    /// An even power does not see the sign.
    #[test]
    fn an_even_power_is_the_formula_for_both_signs(
        g in geometry(1..=1), p in prop_oneof![Just(2.), Just(4.)], fill in pattern(&[-3., -0.5, 0., 0.25, 1., 2.]),
        layout in layouts(),
    ) {
        is_the_formula::<2>(lp_pool2d, &g, p, &fill, layout);
    }
}

proptest! {
    #![proptest_config(config(8))]

    /// Away from 0, where the powers are smooth: first and second derivatives against differences.
    #[test]
    fn gradients(
        (g1, g2, g3) in (geometry(1..=1), geometry(1..=1), geometry(1..=1)),
        p in powers(),
        fill in distinct(),
    ) {
        let x = |extents: &[usize]| {
            let x = fill.tensor(&[&[2, 3], extents].concat(), DType::F64).unwrap();
            // Between 0.5 and 2.
            let x = ((x.tanh().unwrap() * 0.75).unwrap() + 1.25).unwrap();
            x.detach()
        };
        gradients_of::<1>(lp_pool1d, &g1, p, &x(&g1.extents));
        gradients_of::<2>(lp_pool2d, &Geometry { extents: g2.extents.map(|l| l.min(4)), ..g2.clone() }, p,
            &x(&g2.extents.map(|l| l.min(4))));
        gradients_of::<3>(lp_pool3d, &Geometry { extents: g3.extents.map(|l| l.min(3)), ..g3.clone() }, p,
            &x(&g3.extents.map(|l| l.min(3))));
    }
}

fn row(row: &[f64]) -> Tensor {
    Tensor::new(row, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

fn value_and_gradient(x: &[f64], p: f64, k: usize) -> (Vec<f64>, Vec<f64>) {
    let x = Var::from_tensor(&row(x)).unwrap();
    let y = lp_pool1d(&x, &LpPoolSpec::new(p, k)).unwrap();
    let dx = y.backward().unwrap().get(&x).unwrap().clone();
    (values(&y), values(&dx))
}

#[test]
fn infinite_powers_are_the_largest_and_the_smallest_magnitude() {
    let x = [-1., 2., 0., 0., -3., -1., 2., -2.];
    let (y, dx) = value_and_gradient(&x, f64::INFINITY, 2);
    assert_eq!((y, dx), (vec![2., 0., 3., 2.], vec![0., 1., 0., 0., -1., 0., 1., 0.]));
    let (y, dx) = value_and_gradient(&x, f64::NEG_INFINITY, 2);
    assert_eq!((y, dx), (vec![1., 0., 1., 2.], vec![-1., 0., 0., 0., 0., -1., 1., 0.]));
}

#[test]
fn large_powers_tend_to_the_maximum() {
    let x = reals(&[2, 3, 7, 8], 4);
    let pool = |p| values(&lp_pool2d(&x, &LpPoolSpec::new(p, [3, 2]).stride([2, 1])).unwrap());
    let near = pool(400.).into_iter().zip(pool(f64::INFINITY)).all(|(p, max)| p >= max - 1e-12 && p <= max * 1.005);
    assert!(near);
}

#[test]
fn a_window_of_zeros_has_no_gradient() {
    for p in [0.5, 1., 1.5, 2., 3., 4.] {
        let (y, dx) = value_and_gradient(&[0., 0., 0., 1., 1., 1.], p, 3);
        assert_eq!((y[0], &dx[..3]), (0., &[0.; 3][..]), "p = {p}");
        assert!(y[1].is_finite() && dx[3..].iter().all(|dx| dx.is_finite()));
    }
}

#[test]
fn a_zero_beside_others_has_the_derivative_of_its_power() {
    let (_, dx) = value_and_gradient(&[0., 3., 4.], 2., 3);
    assert!(dx[0] == 0. && (dx[1] - 0.6).abs() < 1e-15 && (dx[2] - 0.8).abs() < 1e-15);
    let (y, dx) = value_and_gradient(&[0., 4.], 1., 2);
    assert_eq!((y, dx), (vec![4.], vec![1., 1.]));
    // (√a + √b)² rises infinitely steep from a = 0.
    let (y, dx) = value_and_gradient(&[0., 4.], 0.5, 2);
    assert_eq!((y, dx), (vec![4.], vec![f64::INFINITY, 1.]));
}

#[test]
fn an_odd_power_adds_signed_powers() {
    let (y, dx) = value_and_gradient(&[-1., 2., -3., -1.], 3., 2);
    assert!((y[0] - 7f64.cbrt()).abs() < 1e-15 && y[1].is_nan());
    assert!((dx[0] - 7f64.powf(-2. / 3.)).abs() < 1e-15 && (dx[1] - 4. * 7f64.powf(-2. / 3.)).abs() < 1e-15);
    assert_eq!(value_and_gradient(&[-1., 2., -3., -1.], 1., 2), (vec![1., -4.], vec![1.; 4]));
}

#[test]
fn a_clipped_window_is_its_mean_times_the_whole_window() {
    let y = lp_pool1d(&row(&[1., 1., 1., 4.]), &LpPoolSpec::new(1., 3).ceil_mode(true)).unwrap();
    assert_eq!(values(&y), [3., 12.]);
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    for p in [2., f64::INFINITY] {
        let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
        let y = lp_pool2d(&x, &LpPoolSpec::new(p, [2, 3])).unwrap();
        assert_eq!(y.dims(), [0, 3, 2, 2]);
        assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
    }
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    assert!(!lp_pool2d(&integers(&[2, 3, 4, 6], 1), &LpPoolSpec::new(2., 2)).unwrap().track_op());
}

#[test]
fn halves_of_each_step_round_once() {
    // A window of one is exact for p = 1, and a maximum for p = ∞.
    for (p, kernel) in [(1., [1, 1]), (f64::INFINITY, [3, 2])] {
        let spec = LpPoolSpec::new(p, kernel);
        halves_round_once(|t| lp_pool2d(&t[0], &spec).unwrap(), &[reals(&[2, 3, 6, 7], 5)]);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = reals(&[3, 40, 37, 41], 1).to_dtype(DType::F32).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let y = lp_pool2d(&x, &LpPoolSpec::new(4., [3, 2]).stride([2, 1])).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let x = Tensor::zeros((2, 3, 6, 7), DType::F32, &Device::Cpu).unwrap();
    let new = |p| LpPoolSpec::<2>::new(p, [2, 3]);
    for p in [0., -0., -1., f64::NAN] {
        let error = lp_pool2d(&x, &new(p)).unwrap_err();
        assert!(matches!(error, Error::Value { argument: "norm_type", .. }));
        let message = format!("lp_pool2d: norm_type must be positive or negative infinity, got {p}");
        assert_eq!(error.to_string(), message);
    }
    for p in [2., f64::INFINITY] {
        let error = |x: &Tensor, spec: &LpPoolSpec<2>| lp_pool2d(x, spec).unwrap_err();
        let rank = error(&x.flatten_from(1).unwrap(), &new(p));
        assert!(matches!(rank, Error::Rank { argument: "input", .. }));
        assert_eq!(rank.to_string(), "lp_pool2d: input must have 3 or 4 dimensions, got shape [2, 126]");
        let stride = error(&x, &new(p).stride([1, 0]));
        assert!(matches!(stride, Error::NotPositive { argument: "stride", .. }));
        assert_eq!(stride.to_string(), "lp_pool2d: stride must be positive, got [1, 0]");
        let large = error(&x, &LpPoolSpec::new(p, [2, 8]));
        assert!(matches!(large, Error::KernelTooLarge { .. }) && large.to_string().contains("spans [2, 8]"), "{large}");
        let dtype = error(&x.to_dtype(DType::I64).unwrap(), &new(p));
        assert!(matches!(dtype, Error::DType { dtype: DType::I64, .. }), "{dtype}");
    }
}
