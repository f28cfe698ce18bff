//! Maximum pooling against the reference's vectors, its formula, its gradients' definition, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "a maximum is one of the inputs, and sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::layouts::{same_on_any_threads, values};
use support::pooling::{Geometry, Maxima, Undefined, bits, filled, geometry, layouts, maxima, pattern};
use support::{Case, Count};
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::{FaultyPool, PoolFault, PoolGeometry, distinct, faulty_max_pool, max_pool_geometry};
use taper_ops::{Error, MaxPoolSpec, max_pool2d, max_pool2d_with_indices};

fn spec_of(geometry: &Geometry) -> MaxPoolSpec<2> {
    MaxPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .dilation(geometry.dilation)
        .ceil_mode(geometry.ceil_mode)
}

fn tensor<const H: usize, const W: usize>(rows: [[f64; W]; H]) -> Tensor {
    Tensor::new(&rows, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

fn spec_drawn(geometry: &PoolGeometry<2>) -> MaxPoolSpec<2> {
    MaxPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .dilation(geometry.dilation)
        .ceil_mode(geometry.ceil_mode)
}

#[test]
fn golden() {
    let spec = |case: &Case| {
        Some(
            MaxPoolSpec::new(case.axes("kernel_size")?)
                .stride(case.axes("stride")?)
                .padding(case.axes("padding")?)
                .dilation(case.axes("dilation")?)
                .ceil_mode(case.flag("ceil_mode")),
        )
    };
    let count = support::check(
        "max_pool2d",
        |_| true,
        |case, inputs| match spec(case) {
            None => Ok(None),
            Some(spec) => {
                let (y, indices) = max_pool2d_with_indices(&inputs["input"], &spec)?;
                assert_eq!(bits(&y), bits(&max_pool2d(&inputs["input"], &spec)?), "{}", case.id);
                Ok(Some(vec![y, indices]))
            }
        },
        |case, error| {
            let message = case.error.as_ref().unwrap();
            let same_cause = match error {
                Error::NotPositive { argument: "stride", .. } => message.contains("stride should not be zero"),
                Error::NotPositive { argument: "dilation", .. } => message.contains("dilation should be greater"),
                Error::NotPositive { argument: "kernel_size", .. } => message.contains("kernel size should be greater"),
                Error::PoolPadding { padding: 2, kernel_size: 2, .. } => message.contains("pad should be at most half"),
                Error::KernelTooLarge { .. } => message.contains("Output size is too small"),
                _ => false,
            };
            assert!(same_cause, "{}: {error}\nthe reference: {message}", case.id);
        },
    );
    assert_eq!(count, Count { passed: 48, refused: 6 });
}

fn naive(geometry: &Geometry, x: &[f64], dy: &[f64]) -> Result<Maxima, Undefined> {
    Ok(maxima(&geometry.windows()?, geometry.extents.iter().product(), x, dy))
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1024, rng_seed: RngSeed::Fixed(2026), failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Values, places and refusals are the formula's, in both dtypes and however the input lies; equal elements, signed
    /// zeros, infinities and NaN are frequent.
    #[test]
    fn forward_is_the_formula(
        geometry in geometry(1..=6),
        pattern in pattern(&[-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        layout in layouts(),
    ) {
        let spec = spec_of(&geometry);
        for dtype in [DType::F64, DType::F32] {
            let x = layout.apply(&filled(&pattern, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
            let output = geometry.output().unwrap_or([0; 2]);
            let zeros = vec![0.; geometry.planes() * output[0] * output[1]];
            match (naive(&geometry, &values(&x), &zeros), max_pool2d_with_indices(&x, &spec)) {
                (Ok(naive), Ok((y, places))) => {
                    prop_assert_eq!(y.dims(), [geometry.lead.as_slice(), &output].concat());
                    prop_assert_eq!(y.dtype(), dtype);
                    let expected = Tensor::from_vec(naive.y, y.shape(), &Device::Cpu).unwrap();
                    prop_assert_eq!(bits(&y), bits(&expected));
                    prop_assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), naive.places);
                    prop_assert_eq!(bits(&max_pool2d(&x, &spec).unwrap()), bits(&y));
                }
                (Err(Undefined::KernelTooLarge), Err(Error::KernelTooLarge { .. })) => {}
                (Err(Undefined::EmptyWindow), Err(Error::EmptyWindow { position, .. })) => {
                    let held = |axis: usize| {
                        let reach = geometry.reach(axis, position[axis]);
                        reach.into_iter().any(|at| (0..geometry.extents[axis] as i64).contains(&at))
                    };
                    prop_assert!(!held(0) || !held(1), "the window at {position:?} is not empty");
                }
                (naive, result) => prop_assert!(false, "formula: {:?}, operator: {:?}", naive.err(), result.err()),
            }
        }
    }

    /// Gradients add up where windows overlap, in both dtypes, and do not depend on how the input lies.
    #[test]
    fn backward_is_the_formula(
        geometry in geometry(1..=3),
        pattern in pattern(&[-3., -2., -1., -0., 0., 1., 2., 3.]),
        weights in pattern(&[-4., -1., 0., 1., 2., 7.]),
        layout in layouts(),
    ) {
        let Ok(output) = geometry.output() else { return Ok(()) };
        if geometry.windows().is_err() {
            return Ok(());
        }
        for dtype in [DType::F64, DType::F32] {
            let leaf = Var::from_tensor(&filled(&pattern, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
            let x = layout.apply(&leaf).unwrap();
            let y = max_pool2d(&x, &spec_of(&geometry)).unwrap();
            let weight = filled(&weights, &[geometry.lead.as_slice(), &output].concat()).to_dtype(dtype).unwrap();
            let dx = (&y * &weight).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
            // What candle makes of the gradient where the input is a view of the leaf.
            let naive = naive(&geometry, &values(&x), &values(&weight)).unwrap();
            let direct = Tensor::from_vec(naive.dx, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let expected = (&x * direct).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
            prop_assert_eq!(values(&dx), values(&expected));
        }
    }
    /// Whatever is wrong, on whichever axis, the error says so.
    #[test]
    fn faults_are_refused(FaultyPool { fault, geometry } in faulty_max_pool::<2>()) {
        let x = Tensor::zeros(geometry.input_shape(), DType::F32, &Device::Cpu).unwrap();
        let error = max_pool2d(&x, &spec_drawn(&geometry)).unwrap_err();
        let named = match fault {
            PoolFault::ZeroStride => matches!(error, Error::NotPositive { argument: "stride", .. }),
            PoolFault::ZeroDilation => matches!(error, Error::NotPositive { argument: "dilation", .. }),
            PoolFault::ZeroKernel => matches!(error, Error::NotPositive { argument: "kernel_size", .. }),
            PoolFault::PaddingOverHalf => matches!(error, Error::PoolPadding { .. }),
            PoolFault::KernelTooLarge => matches!(error, Error::KernelTooLarge { .. }),
            _ => false,
        };
        prop_assert!(named, "{fault:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..config() })]

    /// First derivatives against differences, and second ones after and before a curve: on its own the pool has no curvature.
    #[test]
    fn gradients(geometry in max_pool_geometry::<2>(), fill in distinct()) {
        let spec = spec_drawn(&geometry);
        let x = [fill.tensor(&geometry.input_shape(), DType::F64).unwrap()];
        let check = GradCheck::new("max_pool2d").forbid_wasted_gradients();
        check.check(|x: &[Tensor]| max_pool2d(&x[0], &spec), &x).unwrap().assert_passed();
        check.check_second_order(|x: &[Tensor]| max_pool2d(&x[0].tanh()?, &spec), &x).unwrap().assert_passed();
        let curved = |x: &[Tensor]| max_pool2d(&x[0], &spec)?.sqr().map_err(Error::from);
        check.check_second_order(curved, &x).unwrap().assert_passed();
    }
}

#[test]
fn ceil_drops_a_window_that_starts_in_the_padding() {
    for (l, k, s, p, expected) in [(5, 2, 3, 1, 2), (6, 2, 4, 1, 2), (4, 1, 2, 0, 2)] {
        let x = Tensor::zeros((2, 3, l, l + 1), DType::F32, &Device::Cpu).unwrap();
        let y = max_pool2d(&x, &MaxPoolSpec::new([k, 1]).stride([s, 1]).padding([p, 0]).ceil_mode(true)).unwrap();
        assert_eq!(y.dims(), [2, 3, expected, l + 1], "L={l} k={k} s={s} p={p}");
    }
}

#[test]
fn the_first_tie_and_the_last_nan_win() {
    let nan = f64::NAN;
    let place = |x| {
        let (y, places) = max_pool2d_with_indices(&tensor(x), &MaxPoolSpec::new([2, 3])).unwrap();
        (values(&y)[0], places.flatten_all().unwrap().to_vec1::<i64>().unwrap()[0])
    };
    assert_eq!(place([[1., 4., 4.], [4., 0., 4.]]), (4., 1));
    let (y, at) = place([[nan, 9., nan], [nan, f64::INFINITY, 1.]]);
    assert!(y.is_nan() && at == 3);
    let (y, at) = place([[-1., -0., 0.], [0., -1., -0.]]);
    assert!(y == 0. && y.is_sign_negative() && at == 1);
    let (y, at) = place([[-1., 0., -0.], [-0., -1., 0.]]);
    assert!(y == 0. && y.is_sign_positive() && at == 1);
}

#[test]
fn where_all_is_negative_infinity_the_first_element_is_taken_and_padding_never() {
    let x = tensor([[f64::NEG_INFINITY; 4]; 3]);
    let spec = MaxPoolSpec::new([2, 3]).stride([2, 3]).padding([1, 1]);
    let (y, places) = max_pool2d_with_indices(&x, &spec).unwrap();
    assert_eq!(y.dims(), [1, 2, 2]);
    assert!(values(&y).iter().all(|&v| v == f64::NEG_INFINITY));
    assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), [0, 2, 4, 6]);
    let below = tensor([[-5., -6., -7., -8.]; 3]);
    assert_eq!(values(&max_pool2d(&below, &spec).unwrap()), [-5., -7., -5., -7.]);
}

#[test]
fn without_a_batch_axis() {
    let x = filled(&[3., 1., 2., 5., 4.], &[2, 5, 7]);
    let spec = MaxPoolSpec::new([3, 2]).stride([1, 2]);
    let batched = max_pool2d(&x.unsqueeze(0).unwrap(), &spec).unwrap();
    assert_eq!(values(&max_pool2d(&x, &spec).unwrap()), values(&batched));
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let (y, places) = max_pool2d_with_indices(&x, &MaxPoolSpec::new([2, 3])).unwrap();
    assert_eq!((y.dims(), places.dims()), (&[0, 3, 2, 2][..], &[0, 3, 2, 2][..]));
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
    // It claims a size that no table could hold.
    let vast = Tensor::zeros((0, 3, 1 << 40, 7), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(max_pool2d(&vast, &MaxPoolSpec::new([2, 3])).unwrap().dims(), [0, 3, 1 << 39, 2]);
}

#[test]
fn fan_out_adds_up_and_backward_repeats_bit_for_bit() {
    let x = Var::from_tensor(&filled(&[0.3, -1.7, 0.9, 2.2, -0.1, 1.3, 0.7], &[2, 3, 7, 6])).unwrap();
    let pool = |spec: &MaxPoolSpec<2>| max_pool2d(&x, spec).unwrap().sum_all().unwrap();
    let (one, other) = (MaxPoolSpec::new([2, 3]), MaxPoolSpec::new([3, 2]).stride([1, 2]).padding([1, 0]));
    let both = (pool(&one) + pool(&other)).unwrap();
    let grad = |loss: &Tensor| values(loss.backward().unwrap().get(&x).unwrap());
    let sum: Vec<f64> = grad(&pool(&one)).iter().zip(grad(&pool(&other))).map(|(a, b)| a + b).collect();
    assert_eq!(grad(&both), sum);
    assert_eq!(grad(&both), grad(&both));
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    let x = filled(&[1., 2., 3.], &[2, 3, 4, 6]);
    let (y, places) = max_pool2d_with_indices(&x, &MaxPoolSpec::new(2)).unwrap();
    assert!(!y.track_op() && !places.track_op());
    let (_, places) = max_pool2d_with_indices(&Var::from_tensor(&x).unwrap(), &MaxPoolSpec::new(2)).unwrap();
    assert!(!places.track_op());
}

#[test]
fn a_huge_kernel_in_a_huge_padding_is_quick() {
    let k = 1 << 41;
    let x = tensor([[3., 1., 2.], [0., 5., 4.]]);
    let spec = MaxPoolSpec::new([k, 2]).stride([k / 2, 1]).padding([k / 2, 0]).ceil_mode(true);
    let (y, places) = max_pool2d_with_indices(&x, &spec).unwrap();
    assert_eq!((values(&y), y.dims()), (vec![5., 5., 5., 5.], &[1, 2, 2][..]));
    assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), [4, 4, 4, 4]);
    let spec = MaxPoolSpec::new([2, 1]).stride(usize::MAX);
    assert_eq!(max_pool2d(&x, &spec).unwrap().dims(), [1, 1, 1]);
    assert_eq!(max_pool2d(&x, &spec.ceil_mode(true)).unwrap().dims(), [1, 1, 1]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Tensor::rand(-1f32, 1., (3, 40, 37, 41), &Device::Cpu).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let (y, places) = max_pool2d_with_indices(&x, &MaxPoolSpec::new([3, 2]).stride([2, 1])).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, places, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[2, 3, 6, 7]);
    let new = |kernel: [usize; 2]| MaxPoolSpec::<2>::new(kernel);
    let max = usize::MAX;
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let padding: Is = |e| matches!(e, Error::PoolPadding { .. });
    let large: Is = |e| matches!(e, Error::KernelTooLarge { .. });
    let empty: Is = |e| matches!(e, Error::EmptyWindow { .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let cases = [
        (zeros(&[6, 7]), new([2, 3]), rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (zeros(&[1, 2, 3, 6, 7]), new([2, 3]), rank, "input must have 3 or 4 dimensions, got shape [1, 2, 3, 6, 7]"),
        (x.clone(), new([2, 0]), positive, "kernel_size must be positive, got [2, 0]"),
        (x.clone(), new([2, 3]).stride([0, 1]), positive, "stride must be positive, got [0, 1]"),
        (x.clone(), new([2, 3]).dilation([1, 0]), positive, "dilation must be positive, got [1, 0]"),
        (x.clone(), new([4, 3]).padding([2, 2]), padding, "padding (=2) may be at most half of kernel_size (=3)"),
        (x.clone(), new([4, 3]).padding(max), padding, "may be at most half of kernel_size (=4)"),
        (
            x.clone(),
            new([4, 3]).dilation([1, 4]),
            large,
            "spans [4, 9] (dilation counted) but the padded input is only [6, 7]",
        ),
        (
            x.clone(),
            new([2, 8]).padding([1, 0]),
            large,
            "spans [2, 8] (dilation counted) but the padded input is only [8, 7]",
        ),
        (
            zeros(&[2, 3, 6, 0]),
            new([2, 1]),
            large,
            "spans [2, 1] (dilation counted) but the padded input is only [6, 0]",
        ),
        (
            x.clone(),
            new([2, 2]).padding(1).dilation([1, 8]),
            empty,
            "the window at output position [0, 0] holds no element",
        ),
        (
            zeros(&[2, 3, 6, 0]),
            new([1, 2]).padding([0, 1]),
            empty,
            "the window at output position [0, 0] holds no element",
        ),
        (x.clone(), new([2, 3]).dilation([1, max]), overflow, "the size of the dilated kernel overflows"),
        (x.clone(), new([2, max]).padding([1, max / 2]), overflow, "the size of the padded input overflows"),
        (
            x.to_dtype(DType::U8).unwrap(),
            new([2, 3]),
            dtype,
            "dtype U8 is not supported, convert to one of bf16, f16, f32, f64",
        ),
    ];
    for (x, spec, is, message) in cases {
        let error = max_pool2d(&x, &spec).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with("max_pool2d: ") && error.to_string().contains(message), "{error}");
    }
}
