//! Adaptive pooling against the reference's vectors, its formula, pooling of fixed windows, differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "a maximum is one of the inputs, and sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{integers, same_on_any_threads, values};
use support::pooling::{Window, bits, elements, filled, layouts, maxima, pattern, positions};
use support::{Case, Count, close};
use taper_gradcheck::strategies::{distinct, reals};
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{
    AvgPoolSpec, Error, MaxPoolSpec, OutputSize, Result, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d,
    adaptive_max_pool1d, adaptive_max_pool1d_with_indices, adaptive_max_pool2d, adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d, adaptive_max_pool3d_with_indices, avg_pool2d, max_pool2d_with_indices,
};

/// The three public functions of one rank.
struct Ops<const D: usize> {
    max: fn(&Tensor, OutputSize<D>) -> Result<Tensor>,
    max_with_indices: fn(&Tensor, OutputSize<D>) -> Result<(Tensor, Tensor)>,
    avg: fn(&Tensor, OutputSize<D>) -> Result<Tensor>,
}

const ONE: Ops<1> =
    Ops { max: adaptive_max_pool1d, max_with_indices: adaptive_max_pool1d_with_indices, avg: adaptive_avg_pool1d };
const TWO: Ops<2> =
    Ops { max: adaptive_max_pool2d, max_with_indices: adaptive_max_pool2d_with_indices, avg: adaptive_avg_pool2d };
const THREE: Ops<3> =
    Ops { max: adaptive_max_pool3d, max_with_indices: adaptive_max_pool3d_with_indices, avg: adaptive_avg_pool3d };

fn golden_of<const D: usize>(ops: &Ops<D>) -> [Count; 2] {
    let size = |case: &Case| {
        let sizes = case.kwargs["output_size"].as_array().unwrap();
        assert_eq!(sizes.len(), D, "{}", case.id);
        OutputSize(std::array::from_fn(|axis| match &sizes[axis] {
            size if size.is_null() => None,
            size => Some(size.as_u64().unwrap() as usize),
        }))
    };
    let refused = |case: &Case, error: &Error| panic!("{}: {error}, but the reference refuses nothing", case.id);
    let avg = |case: &Case, x: &Tensor| (ops.avg)(x, size(case)).map(|y| Some(vec![y]));
    let max = |case: &Case, x: &Tensor| {
        let (y, indices) = (ops.max_with_indices)(x, size(case))?;
        assert_eq!(bits(&y), bits(&(ops.max)(x, size(case))?), "{}", case.id);
        Ok(Some(vec![y, indices]))
    };
    [
        support::check(&format!("adaptive_avg_pool{D}d"), |_| true, |case, x| avg(case, &x["input"]), refused),
        support::check(&format!("adaptive_max_pool{D}d"), |_| true, |case, x| max(case, &x["input"]), refused),
    ]
}

#[test]
fn golden() {
    let all = || Count { passed: 24, refused: 0 };
    assert_eq!(golden_of(&ONE), [all(), all()]);
    assert_eq!(golden_of(&TWO), [all(), all()]);
    assert_eq!(golden_of(&THREE), [all(), all()]);
}

/// An input and the size asked for.
#[derive(Debug, Clone)]
struct Geometry<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    size: [Option<usize>; D],
}

impl<const D: usize> Geometry<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    fn output(&self) -> [usize; D] {
        std::array::from_fn(|axis| self.size[axis].unwrap_or(self.extents[axis]))
    }

    /// Position `p` lies in window `i` where `[p, p + 1)` and `[i·L/o, (i + 1)·L/o)` meet.
    fn windows(&self) -> Vec<Window<D>> {
        let extents = self.output();
        let held = |axis: usize, i: usize| -> Vec<usize> {
            let (l, o) = (self.extents[axis], extents[axis]);
            (0..l).filter(|p| p * o < (i + 1) * l && i * l < (p + 1) * o).collect()
        };
        let window = |output: [usize; D]| {
            let held = std::array::from_fn(|axis| held(axis, output[axis]));
            Window { output, elements: elements(&self.extents, &held) }
        };
        positions(extents).map(window).collect()
    }
}

fn geometry<const D: usize>(largest: usize) -> impl Strategy<Value = Geometry<D>> {
    let axis = |_| (1..=largest, proptest::option::weighted(0.8, 1..=largest + 2));
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    (lead, std::array::from_fn::<_, D, _>(axis)).prop_map(|(lead, axes)| Geometry {
        lead,
        extents: axes.map(|axis| axis.0),
        size: axes.map(|axis| axis.1),
    })
}

/// Values, places and gradients are the formula's, in both dtypes and however the input lies.
fn is_the_formula<const D: usize>(ops: &Ops<D>, geometry: &Geometry<D>, fill: &[f64], layout: MemoryLayout) {
    let (plane, size, windows) = (geometry.extents.iter().product(), OutputSize(geometry.size), geometry.windows());
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-5)] {
        let leaf = Var::from_tensor(&filled(fill, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let (y, places) = (ops.max_with_indices)(&x, size).unwrap();
        let weight = integers(y.dims(), 3).to_dtype(dtype).unwrap();
        let naive = maxima(&windows, plane, &values(&x), &values(&weight));
        assert_eq!((y.dims(), y.dtype()), ([geometry.lead.as_slice(), &geometry.output()].concat().as_slice(), dtype));
        assert_eq!(bits(&y), bits(&Tensor::from_vec(naive.y, y.shape(), &Device::Cpu).unwrap()));
        assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), naive.places);
        assert_eq!(bits(&(ops.max)(&x, size).unwrap()), bits(&y));
        assert_eq!(values(&gradient(&y, &weight, &leaf)), values(&gradient(&x, &tensor(naive.dx, &x), &leaf)));

        let leaf = Var::from_tensor(&integers(&geometry.shape(), 5).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let y = (ops.avg)(&x, size).unwrap();
        let (dy, mut means, mut dx) = (values(&weight), Vec::new(), vec![0.; x.elem_count()]);
        for (n, x) in values(&x).chunks_exact(plane).enumerate() {
            for Window { elements, .. } in &windows {
                elements.iter().for_each(|at| dx[n * plane + at] += dy[means.len()] / elements.len() as f64);
                means.push(elements.iter().map(|&at| x[at]).sum::<f64>() / elements.len() as f64);
            }
        }
        assert_eq!((y.dims(), y.dtype(), values(&y)), (weight.dims(), dtype, values(&tensor(means, &y))));
        let (actual, expected) = (gradient(&y, &weight, &leaf), gradient(&x, &tensor(dx, &x), &leaf));
        close("dx", &actual, &expected, tolerance);
    }
}

fn tensor(values: Vec<f64>, like: &Tensor) -> Tensor {
    Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap().to_dtype(like.dtype()).unwrap()
}

/// The gradient of `Σ y·weight`.
fn gradient(y: &Tensor, weight: &Tensor, leaf: &Var) -> Tensor {
    (y * weight).unwrap().sum_all().unwrap().backward().unwrap().get(leaf).unwrap().clone()
}

/// First derivatives against differences, and second ones after and before a curve.
fn gradients_of<const D: usize>(ops: &Ops<D>, geometry: &Geometry<D>, apart: Tensor, any: Tensor) {
    let (size, apart, any) = (OutputSize(geometry.size), [apart], [any]);
    let check = GradCheck::new(format!("adaptive_max_pool{D}d")).forbid_wasted_gradients();
    check.check(|x: &[Tensor]| (ops.max)(&x[0], size), &apart).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| (ops.max)(&x[0].tanh()?, size), &apart).unwrap().assert_passed();
    let curved = |x: &[Tensor]| (ops.max)(&x[0], size)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &apart).unwrap().assert_passed();

    let check = GradCheck::new(format!("adaptive_avg_pool{D}d")).forbid_wasted_gradients();
    check.clone().linear_in([0]).check(|x: &[Tensor]| (ops.avg)(&x[0], size), &any).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| (ops.avg)(&x[0].sqr()?, size), &any).unwrap().assert_passed();
    let curved = |x: &[Tensor]| (ops.avg)(&x[0], size)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &any).unwrap().assert_passed();
}

const CORNERS: [f64; 9] = [-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn one_axis_is_the_formula(g in geometry(13), fill in pattern(&CORNERS), layout in layouts()) {
        is_the_formula(&ONE, &g, &fill, layout);
    }

    #[test]
    fn two_axes_are_the_formula(g in geometry(9), fill in pattern(&CORNERS), layout in layouts()) {
        is_the_formula(&TWO, &g, &fill, layout);
    }

    #[test]
    fn three_axes_are_the_formula(g in geometry(5), fill in pattern(&CORNERS), layout in layouts()) {
        is_the_formula(&THREE, &g, &fill, layout);
    }

    #[test]
    fn one_axis_is_two_with_a_unit_axis(g in geometry::<1>(9), fill in pattern(&CORNERS)) {
        let x = filled(&fill, &g.shape());
        let flat = x.unsqueeze(x.rank() - 1).unwrap();
        let (y1, places1) = adaptive_max_pool1d_with_indices(&x, g.size).unwrap();
        let (y2, places2) = adaptive_max_pool2d_with_indices(&flat, [None, g.size[0]]).unwrap();
        prop_assert_eq!((bits(&y1), values(&places1)), (bits(&y2), values(&places2)));
        let (y1, y2) = (adaptive_avg_pool1d(&x, g.size).unwrap(), adaptive_avg_pool2d(&flat, [Some(1), g.size[0]]).unwrap());
        prop_assert_eq!(bits(&y1), bits(&y2));
    }

    /// Where the output's extents divide the input's, the windows lie side by side, bit for bit.
    #[test]
    fn where_sizes_divide_it_is_the_pooling_of_fixed_windows(
        size in [1..=4usize, 1..=4usize],
        kernel in [1..=4usize, 1..=4usize],
        fill in pattern(&CORNERS),
    ) {
        let x = filled(&fill, &[2, 3, size[0] * kernel[0], size[1] * kernel[1]]);
        let (y, places) = max_pool2d_with_indices(&x, &MaxPoolSpec::new(kernel)).unwrap();
        let (adaptive, at) = adaptive_max_pool2d_with_indices(&x, size).unwrap();
        prop_assert_eq!((bits(&adaptive), values(&at)), (bits(&y), values(&places)));
        let y = avg_pool2d(&x, &AvgPoolSpec::new(kernel)).unwrap();
        prop_assert_eq!(bits(&adaptive_avg_pool2d(&x, size).unwrap()), bits(&y));
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn gradients(
        (g1, g2, g3) in (geometry::<1>(9), geometry::<2>(5), geometry::<3>(3)),
        (apart, any) in (distinct(), reals()),
    ) {
        let fills = |extents: &[usize]| {
            let shape = [&[2, 1], extents].concat();
            (apart.tensor(&shape, DType::F64).unwrap(), any.tensor(&shape, DType::F64).unwrap())
        };
        let ((a1, r1), (a2, r2), (a3, r3)) = (fills(&g1.extents), fills(&g2.extents), fills(&g3.extents));
        gradients_of(&ONE, &g1, a1, r1);
        gradients_of(&TWO, &g2, a2, r2);
        gradients_of(&THREE, &g3, a3, r3);
    }
}

#[test]
fn windows_overlap_where_sizes_do_not_divide() {
    let x = Tensor::new(&[[1f64, 2., 4., 8., 16.]], &Device::Cpu).unwrap();
    assert_eq!(values(&adaptive_avg_pool1d(&x, 3).unwrap()), [1.5, 14. / 3., 12.]);
    assert_eq!(values(&adaptive_avg_pool1d(&x, 7).unwrap()), [1., 1.5, 3., 4., 6., 12., 16.]);
    assert_eq!(values(&adaptive_max_pool1d_with_indices(&x, 3).unwrap().1), [1., 3., 4.]);
}

#[test]
fn the_first_tie_and_the_last_nan_win_and_of_negative_infinities_the_first() {
    let nan = f64::NAN;
    let place = |row: [f64; 4]| {
        let (y, at) = adaptive_max_pool1d_with_indices(&Tensor::new(&[row], &Device::Cpu).unwrap(), 1).unwrap();
        (values(&y)[0], values(&at)[0])
    };
    assert_eq!(place([1., 4., 4., 0.]), (4., 1.));
    assert_eq!(place([f64::NEG_INFINITY; 4]), (f64::NEG_INFINITY, 0.));
    let (y, at) = place([nan, 9., nan, f64::INFINITY]);
    assert!(y.is_nan() && at == 2.);
    let lowest = Tensor::full(f64::NEG_INFINITY, (1, 3, 5), &Device::Cpu).unwrap();
    assert_eq!(values(&adaptive_max_pool2d_with_indices(&lowest, [2, 3]).unwrap().1), [0., 1., 3., 5., 6., 8.]);
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    for y in [adaptive_max_pool2d(&x, [2, 3]).unwrap(), adaptive_avg_pool2d(&x, [2, 3]).unwrap()] {
        assert_eq!(y.dims(), [0, 3, 2, 3]);
        assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
    }
    // It claims a size that no table could hold.
    let y = adaptive_avg_pool2d(&x, [1 << 40, 3]).unwrap();
    assert_eq!(y.dims(), [0, 3, 1 << 40, 3]);
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    let x = integers(&[2, 3, 4, 6], 1);
    let (y, places) = adaptive_max_pool2d_with_indices(&x, [3, 2]).unwrap();
    assert!(!y.track_op() && !places.track_op() && !adaptive_avg_pool2d(&x, [3, 2]).unwrap().track_op());
    assert!(!adaptive_max_pool2d_with_indices(&Var::from_tensor(&x).unwrap(), [3, 2]).unwrap().1.track_op());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Tensor::rand(-1f32, 1., (3, 40, 37, 41), &Device::Cpu).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let (max, places) = adaptive_max_pool2d_with_indices(&x, [7, 9]).unwrap();
        let avg = adaptive_avg_pool2d(&x, [9, 7]).unwrap();
        let loss = (max.sqr().unwrap().sum_all().unwrap() + avg.sqr().unwrap().sum_all().unwrap()).unwrap();
        let dx = loss.backward().unwrap().get(&x).unwrap().clone();
        vec![max, places, avg, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { what: "the output", .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let x = zeros(&[2, 3, 6, 7]);
    let cases = [
        (zeros(&[6, 7]), [Some(2), Some(3)], rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (x.clone(), [None, Some(0)], positive, "output_size must be positive, got [6, 0]"),
        (
            zeros(&[2, 3, 6, 0]),
            [None, Some(2)],
            positive,
            "every extent of a plane of the input must be positive, got [6, 0]",
        ),
        (x.clone(), [Some(usize::MAX), Some(2)], overflow, "the size of the output overflows"),
        (x.clone(), [Some(1 << 58), Some(2)], overflow, "the size of the output overflows"),
        (
            x.to_dtype(DType::U8).unwrap(),
            [Some(2), Some(3)],
            dtype,
            "dtype U8 is not supported, convert to one of bf16, f16, f32, f64",
        ),
    ];
    for (x, size, is, message) in cases {
        let max = (adaptive_max_pool2d(&x, size).unwrap_err(), "adaptive_max_pool2d: ");
        let avg = (adaptive_avg_pool2d(&x, size).unwrap_err(), "adaptive_avg_pool2d: ");
        for (error, op) in [max, avg] {
            assert!(is(&error), "{message}: {error:?}");
            assert!(error.to_string().starts_with(op) && error.to_string().contains(message), "{error}");
        }
    }
    let rank = |error: Error, message: &str| assert_eq!(error.to_string(), message);
    rank(
        adaptive_avg_pool1d(&x, 2).unwrap_err(),
        "adaptive_avg_pool1d: input must have 2 or 3 dimensions, got shape [2, 3, 6, 7]",
    );
    rank(
        adaptive_max_pool3d_with_indices(&zeros(&[3, 6, 7]), 2).unwrap_err(),
        "adaptive_max_pool3d_with_indices: input must have 4 or 5 dimensions, got shape [3, 6, 7]",
    );
}
