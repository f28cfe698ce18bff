//! Maximum and average pooling over one and three axes, which share their kernels with two: the reference's vectors, the
//! formula, gradients, and that a unit axis changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "a maximum is one of the inputs, and sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{integers, same_on_any_threads, values};
use support::pooling::{Geometry, Undefined, Window, bits, filled, geometry, layouts, maxima, pattern};
use support::{Case, Count, close};
use taper_gradcheck::strategies::{
    FaultyPool, PoolFault, PoolGeometry, avg_pool_geometry, distinct, faulty_avg_pool, faulty_max_pool,
    max_pool_geometry, reals,
};
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{
    AvgPoolSpec, Error, MaxPoolSpec, Result, avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool1d_with_indices,
    max_pool2d_with_indices, max_pool3d, max_pool3d_with_indices,
};

/// The three public functions of one rank.
struct Ops<const D: usize> {
    max: fn(&Tensor, &MaxPoolSpec<D>) -> Result<Tensor>,
    max_with_indices: fn(&Tensor, &MaxPoolSpec<D>) -> Result<(Tensor, Tensor)>,
    avg: fn(&Tensor, &AvgPoolSpec<D>) -> Result<Tensor>,
}

const ONE: Ops<1> = Ops { max: max_pool1d, max_with_indices: max_pool1d_with_indices, avg: avg_pool1d };
const THREE: Ops<3> = Ops { max: max_pool3d, max_with_indices: max_pool3d_with_indices, avg: avg_pool3d };

fn max_spec<const D: usize>(geometry: &Geometry<D>) -> MaxPoolSpec<D> {
    MaxPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .dilation(geometry.dilation)
        .ceil_mode(geometry.ceil_mode)
}

fn max_drawn<const D: usize>(geometry: &PoolGeometry<D>) -> MaxPoolSpec<D> {
    MaxPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .dilation(geometry.dilation)
        .ceil_mode(geometry.ceil_mode)
}

fn avg_drawn<const D: usize>(geometry: &PoolGeometry<D>) -> AvgPoolSpec<D> {
    AvgPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .ceil_mode(geometry.ceil_mode)
        .count_include_pad(geometry.count_include_pad)
        .divisor_override(geometry.divisor_override)
}

fn same_cause(case: &Case, error: &Error) {
    let message = case.error.as_ref().unwrap();
    let same = match error {
        Error::NotPositive { argument: "stride", .. } => message.contains("stride should not be zero"),
        Error::NotPositive { argument: "dilation", .. } => message.contains("dilation should be greater"),
        Error::NotPositive { argument: "kernel_size", .. } => message.contains("kernel size should be greater"),
        Error::PoolPadding { padding: 2, kernel_size: 2, .. } => message.contains("pad should be at most half"),
        Error::KernelTooLarge { .. } => {
            message.contains("Output size is too small") || message.contains("smaller than kernel size")
        }
        Error::ZeroDivisor { .. } => message.contains("divisor must be not zero"),
        _ => false,
    };
    assert!(same, "{}: {error}\nthe reference: {message}", case.id);
}

fn golden_max<const D: usize>(op: &str, ops: &Ops<D>) -> Count {
    let spec = |case: &Case| {
        let spec = MaxPoolSpec::<D>::new(case.axes("kernel_size")?).stride(case.axes::<D>("stride")?);
        let spec = spec.padding(case.axes::<D>("padding")?).dilation(case.axes::<D>("dilation")?);
        Some(spec.ceil_mode(case.flag("ceil_mode")))
    };
    let call = |case: &Case, x: &Tensor| {
        let Some(spec) = spec(case) else { return Ok(None) };
        let (y, indices) = (ops.max_with_indices)(x, &spec)?;
        assert_eq!(bits(&y), bits(&(ops.max)(x, &spec)?), "{}", case.id);
        Ok(Some(vec![y, indices]))
    };
    support::check(op, |_| true, |case, inputs| call(case, &inputs["input"]), same_cause)
}

fn golden_avg<const D: usize>(op: &str, ops: &Ops<D>) -> Count {
    let spec = |case: &Case| {
        let divisor = &case.kwargs["divisor_override"];
        assert!(divisor.is_null() || divisor.is_i64(), "{}", case.id);
        let spec = AvgPoolSpec::<D>::new(case.axes("kernel_size")?).stride(case.axes::<D>("stride")?);
        let spec = spec.padding(case.axes::<D>("padding")?).ceil_mode(case.flag("ceil_mode"));
        Some(spec.count_include_pad(case.flag("count_include_pad")).divisor_override(divisor.as_i64()))
    };
    let call = |case: &Case, x: &Tensor| match spec(case) {
        None => Ok(None),
        Some(spec) => (ops.avg)(x, &spec).map(|y| Some(vec![y])),
    };
    support::check(op, |_| true, |case, inputs| call(case, &inputs["input"]), same_cause)
}

#[test]
fn golden() {
    assert_eq!(golden_max("max_pool1d", &ONE), Count { passed: 48, refused: 6 });
    assert_eq!(golden_max("max_pool3d", &THREE), Count { passed: 48, refused: 6 });
    assert_eq!(golden_avg("avg_pool1d", &ONE), Count { passed: 48, refused: 3 });
    assert_eq!(golden_avg("avg_pool3d", &THREE), Count { passed: 48, refused: 4 });
}

/// Values, places, refusals and the gradient of a maximum are the formula's, in both dtypes and however the input lies.
fn max_is_the_formula<const D: usize>(ops: &Ops<D>, geometry: &Geometry<D>, fill: &[f64], layout: MemoryLayout) {
    let plane = geometry.extents.iter().product();
    for dtype in [DType::F64, DType::F32] {
        let leaf = Var::from_tensor(&filled(fill, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let (windows, (y, places)) = match (geometry.windows(), (ops.max_with_indices)(&x, &max_spec(geometry))) {
            (Ok(windows), Ok(result)) => (windows, result),
            (Err(Undefined::KernelTooLarge), Err(Error::KernelTooLarge { .. })) => return,
            (Err(Undefined::EmptyWindow), Err(Error::EmptyWindow { .. })) => return,
            (windows, result) => panic!("formula: {:?}, operator: {:?}", windows.err(), result.err()),
        };
        let weight = integers(y.dims(), 3).to_dtype(dtype).unwrap();
        let naive = maxima(&windows, plane, &values(&x), &values(&weight));
        assert_eq!(y.dims(), [geometry.lead.as_slice(), &geometry.output().unwrap()].concat());
        assert_eq!(y.dtype(), dtype);
        assert_eq!(bits(&y), bits(&Tensor::from_vec(naive.y, y.shape(), &Device::Cpu).unwrap()));
        assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), naive.places);
        assert_eq!(bits(&(ops.max)(&x, &max_spec(geometry)).unwrap()), bits(&y));
        assert_eq!(gradient(&y, &weight, &leaf), gradient(&x, &tensor(naive.dx, &x), &leaf));
    }
}

/// The same of a mean.
fn avg_is_the_formula<const D: usize>(
    ops: &Ops<D>,
    geometry: &Geometry<D>,
    (include, fixed): (bool, Option<i64>),
    layout: MemoryLayout,
) {
    let plane: usize = geometry.extents.iter().product();
    let spec = AvgPoolSpec::new(geometry.kernel).stride(geometry.stride).padding(geometry.padding);
    let spec = spec.ceil_mode(geometry.ceil_mode).count_include_pad(include).divisor_override(fixed);
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-5)] {
        let leaf = Var::from_tensor(&integers(&geometry.shape(), 5).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let (windows, y) = match (geometry.windows(), (ops.avg)(&x, &spec)) {
            (Ok(windows), Ok(y)) => (windows, y),
            (Err(Undefined::KernelTooLarge), Err(Error::KernelTooLarge { .. })) => return,
            (windows, y) => panic!("formula: {:?}, operator: {:?}", windows.err(), y.err()),
        };
        let weight = integers(y.dims(), 3).to_dtype(dtype).unwrap();
        let dy = values(&weight);
        let (mut means, mut dx) = (Vec::new(), vec![0.; x.elem_count()]);
        for (n, x) in values(&x).chunks_exact(plane).enumerate() {
            for window in &windows {
                let divisor = divisor(geometry, window, include, fixed);
                let share = dy[means.len()] / divisor;
                window.elements.iter().for_each(|at| dx[n * plane + at] += share);
                means.push(window.elements.iter().map(|&at| x[at]).sum::<f64>() / divisor);
            }
        }
        let means = Tensor::from_vec(means, y.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        assert_eq!((y.dtype(), values(&y)), (dtype, values(&means)));
        let read = |values| Tensor::from_vec(values, geometry.shape(), &Device::Cpu).unwrap();
        let (actual, expected) = (gradient(&y, &weight, &leaf), gradient(&x, &tensor(dx, &x), &leaf));
        close("dx", &read(actual), &read(expected), tolerance);
    }
}

fn divisor<const D: usize>(geometry: &Geometry<D>, window: &Window<D>, include: bool, fixed: Option<i64>) -> f64 {
    let padded = |axis: usize| {
        let (extent, padding) = (geometry.extents[axis] as i64, geometry.padding[axis] as i64);
        let reach = geometry.reach(axis, window.output[axis]).into_iter();
        reach.filter(|at| (-padding..extent + padding).contains(at)).count()
    };
    match fixed {
        Some(divisor) => divisor as f64,
        None if include => (0..D).map(padded).product::<usize>() as f64,
        None => window.elements.len() as f64,
    }
}

fn tensor(values: Vec<f64>, like: &Tensor) -> Tensor {
    Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap().to_dtype(like.dtype()).unwrap()
}

/// The gradient of `Σ y·weight`.
fn gradient(y: &Tensor, weight: &Tensor, leaf: &Var) -> Vec<f64> {
    values((y * weight).unwrap().sum_all().unwrap().backward().unwrap().get(leaf).unwrap())
}

/// First derivatives against differences, and second ones after and before a curve.
fn max_gradients<const D: usize>(ops: &Ops<D>, geometry: &PoolGeometry<D>, x: Tensor) {
    let (spec, x) = (max_drawn(geometry), [x]);
    let check = GradCheck::new(format!("max_pool{D}d")).forbid_wasted_gradients();
    check.check(|x: &[Tensor]| (ops.max)(&x[0], &spec), &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| (ops.max)(&x[0].tanh()?, &spec), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| (ops.max)(&x[0], &spec)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

fn avg_gradients<const D: usize>(ops: &Ops<D>, geometry: &PoolGeometry<D>, x: Tensor) {
    let (spec, x) = (avg_drawn(geometry), [x]);
    let check = GradCheck::new(format!("avg_pool{D}d")).forbid_wasted_gradients();
    let linear = check.clone().linear_in([0]);
    linear.check(|x: &[Tensor]| (ops.avg)(&x[0], &spec), &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| (ops.avg)(&x[0].sqr()?, &spec), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| (ops.avg)(&x[0], &spec)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

fn fault_is_named(fault: PoolFault, error: &Error) {
    let named = match fault {
        PoolFault::ZeroStride => matches!(error, Error::NotPositive { argument: "stride", .. }),
        PoolFault::ZeroDilation => matches!(error, Error::NotPositive { argument: "dilation", .. }),
        PoolFault::ZeroKernel => matches!(error, Error::NotPositive { argument: "kernel_size", .. }),
        PoolFault::PaddingOverHalf => matches!(error, Error::PoolPadding { .. }),
        PoolFault::KernelTooLarge => matches!(error, Error::KernelTooLarge { .. }),
        PoolFault::ZeroDivisor => matches!(error, Error::ZeroDivisor { .. }),
        _ => false,
    };
    assert!(named, "{fault:?}: {error}");
}

const CORNERS: [f64; 9] = [-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn divisors() -> impl Strategy<Value = (bool, Option<i64>)> {
    (any::<bool>(), prop_oneof![3 => Just(None), 1 => (1..6i64).prop_map(Some), 1 => (-6..0i64).prop_map(Some)])
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn max_pool1d_is_the_formula(g in geometry(1..=6), fill in pattern(&CORNERS), layout in layouts()) {
        max_is_the_formula(&ONE, &g, &fill, layout);
    }

    #[test]
    fn avg_pool1d_is_the_formula(g in geometry(1..=1), divisor in divisors(), layout in layouts()) {
        avg_is_the_formula(&ONE, &g, divisor, layout);
    }

    #[test]
    fn faults_are_refused(
        (max1, max3) in (faulty_max_pool::<1>(), faulty_max_pool::<3>()),
        (avg1, avg3) in (faulty_avg_pool::<1>(), faulty_avg_pool::<3>()),
    ) {
        let zeros = |shape: Vec<usize>| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let FaultyPool { fault, geometry } = max1;
        fault_is_named(fault, &max_pool1d(&zeros(geometry.input_shape()), &max_drawn(&geometry)).unwrap_err());
        let FaultyPool { fault, geometry } = max3;
        fault_is_named(fault, &max_pool3d(&zeros(geometry.input_shape()), &max_drawn(&geometry)).unwrap_err());
        let FaultyPool { fault, geometry } = avg1;
        fault_is_named(fault, &avg_pool1d(&zeros(geometry.input_shape()), &avg_drawn(&geometry)).unwrap_err());
        let FaultyPool { fault, geometry } = avg3;
        fault_is_named(fault, &avg_pool3d(&zeros(geometry.input_shape()), &avg_drawn(&geometry)).unwrap_err());
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn max_pool3d_is_the_formula(g in geometry(1..=6), fill in pattern(&CORNERS), layout in layouts()) {
        max_is_the_formula(&THREE, &g, &fill, layout);
    }

    #[test]
    fn avg_pool3d_is_the_formula(g in geometry(1..=1), divisor in divisors(), layout in layouts()) {
        avg_is_the_formula(&THREE, &g, divisor, layout);
    }

    /// Bit for bit, places included.
    #[test]
    fn one_axis_is_two_with_a_unit_axis(g in geometry::<1>(1..=3), fill in pattern(&CORNERS)) {
        let x = filled(&fill, &g.shape());
        let flat = x.unsqueeze(x.rank() - 1).unwrap();
        let pad = |[axis]: [usize; 1], unit: usize| [unit, axis];
        let spec = MaxPoolSpec::new(pad(g.kernel, 1)).stride(pad(g.stride, 1)).padding(pad(g.padding, 0));
        let spec = spec.dilation(pad(g.dilation, 1)).ceil_mode(g.ceil_mode);
        if let Ok((y, places)) = max_pool2d_with_indices(&flat, &spec) {
            let (y1, places1) = max_pool1d_with_indices(&x, &max_spec(&g)).unwrap();
            prop_assert_eq!((bits(&y1), values(&places1)), (bits(&y), values(&places)));
        }
        let spec1 = AvgPoolSpec::new(g.kernel).stride(g.stride).padding(g.padding).ceil_mode(g.ceil_mode);
        let spec = AvgPoolSpec::new(pad(g.kernel, 1)).stride(pad(g.stride, 1)).padding(pad(g.padding, 0));
        if let Ok(y) = avg_pool2d(&flat, &spec.ceil_mode(g.ceil_mode)) {
            prop_assert_eq!(bits(&avg_pool1d(&x, &spec1).unwrap()), bits(&y));
        }
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn gradients_over_one_axis(
        (max, avg) in (max_pool_geometry::<1>(), avg_pool_geometry::<1>()),
        (apart, any) in (distinct(), reals()),
    ) {
        max_gradients(&ONE, &max, apart.tensor(&max.input_shape(), DType::F64).unwrap());
        avg_gradients(&ONE, &avg, any.tensor(&avg.input_shape(), DType::F64).unwrap());
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn gradients_over_three_axes(
        (max, avg) in (max_pool_geometry::<3>(), avg_pool_geometry::<3>()),
        (apart, any) in (distinct(), reals()),
    ) {
        let small = |shape: Vec<usize>| [&[2, 1], &shape[2..]].concat();
        max_gradients(&THREE, &max, apart.tensor(&small(max.input_shape()), DType::F64).unwrap());
        avg_gradients(&THREE, &avg, any.tensor(&small(avg.input_shape()), DType::F64).unwrap());
    }
}

#[test]
fn without_a_batch_axis_and_with_a_batch_of_nothing() {
    let spec = MaxPoolSpec::new([2, 3, 1]).stride([1, 2, 3]);
    let x = integers(&[2, 3, 5, 4], 1);
    let batched = max_pool3d(&x.unsqueeze(0).unwrap(), &spec).unwrap();
    assert_eq!(values(&max_pool3d(&x, &spec).unwrap()), values(&batched));
    let x = Var::zeros((0, 2, 3, 5, 4), DType::F32, &Device::Cpu).unwrap();
    let y = max_pool3d(&x, &spec).unwrap();
    assert_eq!(y.dims(), [0, 2, 2, 2, 2]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 2, 3, 5, 4]);
    assert_eq!(
        avg_pool1d(&Tensor::zeros((0, 2, 7), DType::F32, &Device::Cpu).unwrap(), &AvgPoolSpec::new(3)).unwrap().dims(),
        [0, 2, 2]
    );
}

#[test]
fn a_window_of_one_in_ceil_mode_does_not_start_beyond_the_end() {
    let x = Tensor::ones((2, 3, 4), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(avg_pool1d(&x, &AvgPoolSpec::new(1).stride(2).ceil_mode(true)).unwrap().dims(), [2, 3, 2]);
}

#[test]
fn a_clipped_window_counts_what_lies_within_the_padded_input() {
    let x = Tensor::ones((1, 6), DType::F64, &Device::Cpu).unwrap();
    let spec = AvgPoolSpec::new(4).stride(3).padding(1).ceil_mode(true);
    assert_eq!(values(&avg_pool1d(&x, &spec).unwrap()), [0.75, 1., 0.5]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Tensor::rand(-1f32, 1., (3, 20, 9, 17, 21), &Device::Cpu).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let (max, places) = max_pool3d_with_indices(&x, &MaxPoolSpec::new([3, 2, 2]).stride([2, 1, 3])).unwrap();
        let avg = avg_pool3d(&x, &AvgPoolSpec::new([2, 3, 4]).stride([2, 1, 3])).unwrap();
        let loss = (max.sqr().unwrap().sum_all().unwrap() + avg.sqr().unwrap().sum_all().unwrap()).unwrap();
        let dx = loss.backward().unwrap().get(&x).unwrap().clone();
        vec![max, places, avg, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let cases = [
        (max_pool1d(&x(&[7]), &MaxPoolSpec::new(2)), "max_pool1d: input must have 2 or 3 dimensions, got shape [7]"),
        (max_pool1d(&x(&[2, 3, 7]), &MaxPoolSpec::new(2).stride(0)), "max_pool1d: stride must be positive, got [0]"),
        (
            max_pool3d(&x(&[2, 5, 7]), &MaxPoolSpec::new(2)),
            "max_pool3d: input must have 4 or 5 dimensions, got shape [2, 5, 7]",
        ),
        (
            max_pool3d_with_indices(&x(&[2, 4, 5, 7]), &MaxPoolSpec::new([2, 6, 3])).map(|(y, _)| y),
            "max_pool3d_with_indices: the kernel spans [2, 6, 3] (dilation counted) but the padded input is only [4, 5, 7]; \
             pad more, or use a smaller kernel or dilation",
        ),
        (
            avg_pool1d(&x(&[2, 3, 7]), &AvgPoolSpec::new(3).padding(2)),
            "avg_pool1d: padding (=2) may be at most half of kernel_size (=3)",
        ),
        (
            avg_pool3d(&x(&[2, 4, 5, 7]), &AvgPoolSpec::new(2).divisor_override(Some(0))),
            "avg_pool3d: divisor_override must not be zero",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
}
