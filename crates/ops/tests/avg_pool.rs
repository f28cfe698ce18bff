//! Average pooling against the reference's vectors, its formula, its adjoint, a convolution, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact, and one division rounds the same way")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::layouts::{same_on_any_threads, values};
use support::pooling::{Geometry, Undefined, Window, filled, geometry, layouts, pattern};
use support::{Case, Count, close};
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::{FaultyPool, PoolFault, PoolGeometry, avg_pool_geometry, faulty_avg_pool, reals};
use taper_ops::{AvgPoolSpec, ConvSpec, Error, MaxPoolSpec, avg_pool2d, conv2d, max_pool2d};

fn spec_of(geometry: &Geometry, count_include_pad: bool, divisor_override: Option<i64>) -> AvgPoolSpec<2> {
    AvgPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .ceil_mode(geometry.ceil_mode)
        .count_include_pad(count_include_pad)
        .divisor_override(divisor_override)
}

fn spec_drawn(geometry: &PoolGeometry<2>) -> AvgPoolSpec<2> {
    AvgPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .ceil_mode(geometry.ceil_mode)
        .count_include_pad(geometry.count_include_pad)
        .divisor_override(geometry.divisor_override)
}

#[test]
fn golden() {
    let spec = |case: &Case| {
        let divisor = &case.kwargs["divisor_override"];
        assert!(divisor.is_null() || divisor.is_i64(), "{}", case.id);
        Some(
            AvgPoolSpec::new(case.axes("kernel_size")?)
                .stride(case.axes("stride")?)
                .padding(case.axes("padding")?)
                .ceil_mode(case.flag("ceil_mode"))
                .count_include_pad(case.flag("count_include_pad"))
                .divisor_override(divisor.as_i64()),
        )
    };
    let count = support::check(
        "avg_pool2d",
        |_| true,
        |case, inputs| match spec(case) {
            None => Ok(None),
            Some(spec) => avg_pool2d(&inputs["input"], &spec).map(|y| Some(vec![y])),
        },
        |case, error| {
            let message = case.error.as_ref().unwrap();
            let same_cause = match error {
                Error::NotPositive { argument: "stride", .. } => message.contains("stride should not be zero"),
                Error::PoolPadding { padding: 2, kernel_size: 2, .. } => message.contains("pad should be at most half"),
                Error::KernelTooLarge { .. } => message.contains("Output size is too small"),
                Error::ZeroDivisor { .. } => message.contains("divisor must be not zero"),
                _ => false,
            };
            assert!(same_cause, "{}: {error}\nthe reference: {message}", case.id);
        },
    );
    assert_eq!(count, Count { passed: 48, refused: 4 });
}

/// What the formula divides a window's sum by.
fn divisor(geometry: &Geometry, window: &Window, count_include_pad: bool, divisor_override: Option<i64>) -> f64 {
    if let Some(divisor) = divisor_override {
        return divisor as f64;
    }
    if !count_include_pad {
        return window.elements.len() as f64;
    }
    let padded = |axis: usize| {
        let (extent, padding) = (geometry.extents[axis] as i64, geometry.padding[axis] as i64);
        geometry
            .reach(axis, window.output[axis])
            .into_iter()
            .filter(|at| (-padding..extent + padding).contains(at))
            .count()
    };
    (padded(0) * padded(1)) as f64
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1024, rng_seed: RngSeed::Fixed(2026), failure_persistence: None, ..Default::default() }
}

fn divisors() -> impl Strategy<Value = (bool, Option<i64>)> {
    (any::<bool>(), prop_oneof![3 => Just(None), 1 => (1..6i64).prop_map(Some), 1 => (-6..0i64).prop_map(Some)])
}

proptest! {
    #![proptest_config(config())]

    /// Means and refusals are the formula's, bit for bit in both dtypes and however the input lies.
    #[test]
    fn forward_is_the_formula(
        geometry in geometry(1..=1),
        pattern in pattern(&[-3., -2., -1., 0., 1., 2., 5.]),
        (include, fixed) in divisors(),
        layout in layouts(),
    ) {
        for dtype in [DType::F64, DType::F32] {
            let x = layout.apply(&filled(&pattern, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
            match (geometry.windows(), avg_pool2d(&x, &spec_of(&geometry, include, fixed))) {
                (Ok(windows), Ok(y)) => {
                    let planes = values(&x);
                    let means = planes.chunks_exact(geometry.extents.iter().product()).flat_map(|x| {
                        windows.iter().map(|window| {
                            let sum: f64 = window.elements.iter().map(|&at| x[at]).sum();
                            sum / divisor(&geometry, window, include, fixed)
                        })
                    });
                    let expected = Tensor::from_iter(means, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                    prop_assert_eq!(y.dims(), [geometry.lead.as_slice(), &geometry.output().unwrap()].concat());
                    prop_assert_eq!(y.dtype(), dtype);
                    prop_assert_eq!(values(&y), values(&expected));
                }
                (Err(Undefined::KernelTooLarge), Err(Error::KernelTooLarge { .. })) => {}
                (windows, y) => prop_assert!(false, "formula: {:?}, operator: {:?}", windows.err(), y.err()),
            }
        }
    }

    /// The gradient is the formula's, and does not depend on how the input lies.
    #[test]
    fn backward_is_the_formula(
        geometry in geometry(1..=1),
        weights in pattern(&[-4., -1., 0., 1., 2., 7.]),
        (include, fixed) in divisors(),
        layout in layouts(),
    ) {
        let Ok(windows) = geometry.windows() else { return Ok(()) };
        let shape = [geometry.lead.as_slice(), &geometry.output().unwrap()].concat();
        for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-5)] {
            let leaf = Var::zeros(geometry.shape(), dtype, &Device::Cpu).unwrap();
            let x = layout.apply(&leaf).unwrap();
            let y = avg_pool2d(&x, &spec_of(&geometry, include, fixed)).unwrap();
            let dy = filled(&weights, &shape).to_dtype(dtype).unwrap();
            let dx = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
            let plane: usize = geometry.extents.iter().product();
            let mut direct = vec![0.; geometry.planes() * plane];
            for (at, dy) in values(&dy).into_iter().enumerate() {
                let window = &windows[at % windows.len()];
                let share = dy / divisor(&geometry, window, include, fixed);
                window.elements.iter().for_each(|element| direct[at / windows.len() * plane + element] += share);
            }
            // What candle makes of the gradient where the input is a view of the leaf.
            let direct = Tensor::from_vec(direct, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let expected = (&x * direct).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
            close("dx", &dx, &expected.to_dtype(DType::F64).unwrap(), tolerance);
        }
    }

    /// Whatever is wrong, on whichever axis, the error says so.
    #[test]
    fn faults_are_refused(FaultyPool { fault, geometry } in faulty_avg_pool::<2>()) {
        let x = Tensor::zeros(geometry.input_shape(), DType::F32, &Device::Cpu).unwrap();
        let error = avg_pool2d(&x, &spec_drawn(&geometry)).unwrap_err();
        let named = match fault {
            PoolFault::ZeroStride => matches!(error, Error::NotPositive { argument: "stride", .. }),
            PoolFault::ZeroKernel => matches!(error, Error::NotPositive { argument: "kernel_size", .. }),
            PoolFault::PaddingOverHalf => matches!(error, Error::PoolPadding { .. }),
            PoolFault::KernelTooLarge => matches!(error, Error::KernelTooLarge { .. }),
            PoolFault::ZeroDivisor => matches!(error, Error::ZeroDivisor { .. }),
            _ => false,
        };
        prop_assert!(named, "{fault:?}: {error}");
    }

    /// No mean of a window exceeds its maximum, whatever the windows.
    #[test]
    fn the_mean_is_at_most_the_maximum(
        geometry in geometry(1..=1),
        pattern in pattern(&[-3.5, -2., -1.25, 0., 1., 2.75, 5.]),
    ) {
        let max = MaxPoolSpec::new(geometry.kernel).stride(geometry.stride).padding(geometry.padding);
        let x = filled(&pattern, &geometry.shape());
        let Ok(max) = max_pool2d(&x, &max.ceil_mode(geometry.ceil_mode)) else { return Ok(()) };
        let mean = avg_pool2d(&x, &spec_of(&geometry, false, None)).unwrap();
        prop_assert!(values(&mean).iter().zip(values(&max)).all(|(mean, max)| *mean <= max + 1e-15));
    }

    /// With a constant divisor, average pooling is a depthwise convolution with constant weights.
    #[test]
    fn it_is_a_depthwise_convolution(
        geometry in geometry(1..=1),
        pattern in pattern(&[-3., -2., -1., 0., 1., 2., 5.]),
        divisor in 1..6i64,
    ) {
        let geometry = Geometry { ceil_mode: false, ..geometry };
        let [.., channels] = geometry.lead[..] else { return Ok(()) };
        if geometry.lead.len() == 1 || geometry.output().is_err() {
            return Ok(());
        }
        let x = filled(&pattern, &geometry.shape());
        let weight = Tensor::full(1. / divisor as f64, (channels, 1, geometry.kernel[0], geometry.kernel[1]), &Device::Cpu);
        let conv = ConvSpec::default().stride(geometry.stride).padding(geometry.padding).groups(channels);
        let expected = conv2d(&x, &weight.unwrap(), None, &conv).unwrap();
        close("y", &avg_pool2d(&x, &spec_of(&geometry, true, Some(divisor))).unwrap(), &expected, 1e-13);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..config() })]

    /// First derivatives against differences, and second ones through squares: on its own the pool has no curvature.
    #[test]
    fn gradients(geometry in avg_pool_geometry::<2>(), fill in reals()) {
        let spec = spec_drawn(&geometry);
        let x = [fill.tensor(&geometry.input_shape(), DType::F64).unwrap()];
        let check = GradCheck::new("avg_pool2d").forbid_wasted_gradients();
        let linear = check.clone().linear_in([0]);
        linear.check(|x: &[Tensor]| avg_pool2d(&x[0], &spec), &x).unwrap().assert_passed();
        check.check_second_order(|x: &[Tensor]| avg_pool2d(&x[0].sqr()?, &spec), &x).unwrap().assert_passed();
        let curved = |x: &[Tensor]| avg_pool2d(&x[0], &spec)?.sqr().map_err(Error::from);
        check.check_second_order(curved, &x).unwrap().assert_passed();
    }
}

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F64, &Device::Cpu).unwrap()
}

#[test]
fn a_clipped_window_counts_what_lies_within_the_padded_input() {
    let pool = |include| {
        let spec = AvgPoolSpec::new([4, 1]).stride([3, 1]).padding([1, 0]).ceil_mode(true).count_include_pad(include);
        values(&avg_pool2d(&ones(&[1, 6, 1]), &spec).unwrap())
    };
    assert_eq!(pool(true), [0.75, 1., 0.5]);
    assert_eq!(pool(false), [1., 1., 1.]);
}

#[test]
fn a_window_of_one_in_ceil_mode_does_not_start_beyond_the_end() {
    let spec = AvgPoolSpec::new(1).stride([2, 3]).ceil_mode(true);
    assert_eq!(avg_pool2d(&ones(&[2, 3, 4, 9]), &spec).unwrap().dims(), [2, 3, 2, 3]);
}

#[test]
fn the_divisor_may_be_negative_and_beyond_float32() {
    let pool = |divisor| {
        let spec = AvgPoolSpec::new([1, 2]).divisor_override(Some(divisor));
        values(&avg_pool2d(&ones(&[1, 2, 2]), &spec).unwrap())
    };
    assert_eq!(pool(-4), [-0.5, -0.5]);
    assert_eq!(pool(i64::MIN), [-f64::powi(2., -62); 2]);
}

#[test]
fn padding_is_no_arithmetic_on_what_is_not_there() {
    let x = Tensor::new(&[[[f64::INFINITY, 1., f64::NAN, 2., 4.]]], &Device::Cpu).unwrap();
    let y = values(&avg_pool2d(&x, &AvgPoolSpec::new([1, 2]).stride(1)).unwrap());
    assert!(y[0] == f64::INFINITY && y[1].is_nan() && y[2].is_nan() && y[3] == 3., "{y:?}");
}

#[test]
fn without_a_batch_axis() {
    let x = filled(&[3., 1., 2., 5., 4.], &[2, 5, 7]);
    let spec = AvgPoolSpec::new([3, 2]).stride([1, 2]).padding([0, 1]);
    let batched = avg_pool2d(&x.unsqueeze(0).unwrap(), &spec).unwrap();
    assert_eq!(values(&avg_pool2d(&x, &spec).unwrap()), values(&batched));
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let y = avg_pool2d(&x, &AvgPoolSpec::new([2, 3])).unwrap();
    assert_eq!(y.dims(), [0, 3, 2, 2]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
}

#[test]
fn fan_out_adds_up_and_backward_repeats_bit_for_bit() {
    let x = Var::from_tensor(&filled(&[0.3, -1.7, 0.9, 2.2, -0.1, 1.3, 0.7], &[2, 3, 7, 6])).unwrap();
    let pool = |spec: &AvgPoolSpec<2>| avg_pool2d(&x, spec).unwrap().sqr().unwrap().sum_all().unwrap();
    let (one, other) = (AvgPoolSpec::new([2, 3]), AvgPoolSpec::new([3, 2]).stride([1, 2]).padding([1, 0]));
    let both = (pool(&one) + pool(&other)).unwrap();
    let grad = |loss: &Tensor| values(loss.backward().unwrap().get(&x).unwrap());
    let sum: Vec<f64> = grad(&pool(&one)).iter().zip(grad(&pool(&other))).map(|(a, b)| a + b).collect();
    let close = grad(&both).iter().zip(&sum).all(|(a, b)| (a - b).abs() <= 1e-14);
    assert!(close && grad(&both) == grad(&both));
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    assert!(!avg_pool2d(&ones(&[2, 3, 4, 6]), &AvgPoolSpec::new(2)).unwrap().track_op());
}

#[test]
fn a_huge_kernel_in_a_huge_padding_is_quick() {
    let k = 1 << 41;
    let spec = AvgPoolSpec::new([k, 2]).stride([k / 2, 1]).padding([k / 2, 0]).ceil_mode(true);
    let y = avg_pool2d(&ones(&[1, 2, 3]), &spec.count_include_pad(false)).unwrap();
    assert_eq!((values(&y), y.dims()), (vec![1.; 4], &[1, 2, 2][..]));
    let padded = avg_pool2d(&ones(&[1, 2, 3]), &spec).unwrap();
    assert_eq!(values(&padded)[0], 4. / (2. * k as f64));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Tensor::rand(-1f32, 1., (3, 40, 37, 41), &Device::Cpu).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let y = avg_pool2d(&x, &AvgPoolSpec::new([3, 2]).stride([2, 1])).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[2, 3, 6, 7]);
    let new = |kernel: [usize; 2]| AvgPoolSpec::<2>::new(kernel);
    let max = usize::MAX;
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let padding: Is = |e| matches!(e, Error::PoolPadding { .. });
    let large: Is = |e| matches!(e, Error::KernelTooLarge { .. });
    let zero: Is = |e| matches!(e, Error::ZeroDivisor { .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { .. });
    let empty: Is = |e| matches!(e, Error::EmptyWindow { .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let cases = [
        (zeros(&[6, 7]), new([2, 3]), rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (x.clone(), new([2, 0]), positive, "kernel_size must be positive, got [2, 0]"),
        (x.clone(), new([2, 3]).stride([0, 1]), positive, "stride must be positive, got [0, 1]"),
        (x.clone(), new([4, 3]).padding([2, 2]), padding, "padding (=2) may be at most half of kernel_size (=3)"),
        (
            x.clone(),
            new([2, 8]).padding([1, 0]),
            large,
            "spans [2, 8] (dilation counted) but the padded input is only [8, 7]",
        ),
        (x.clone(), new([2, 3]).divisor_override(Some(0)), zero, "divisor_override must not be zero"),
        (x.clone(), new([2, max]).padding([1, max / 2]), overflow, "the size of the padded input overflows"),
        (
            zeros(&[2, 3, 6, 0]),
            new([1, 2]).padding([0, 1]),
            empty,
            "the window at output position [0, 0] holds no element",
        ),
        (
            x.to_dtype(DType::U8).unwrap(),
            new([2, 3]),
            dtype,
            "dtype U8 is not supported, convert to one of bf16, f16, f32, f64",
        ),
    ];
    for (x, spec, is, message) in cases {
        let error = avg_pool2d(&x, &spec).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with("avg_pool2d: ") && error.to_string().contains(message), "{error}");
    }
}
