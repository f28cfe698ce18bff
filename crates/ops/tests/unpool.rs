//! Maximum unpooling against the reference's vectors, its formula, the pooling it undoes, differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "every output is an input or 0")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, scattered, turned, values};
use support::pooling::{bits, filled, layouts, pattern};
use support::{Case, Count};
use taper_gradcheck::strategies::distinct;
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{
    Error, MaxPoolSpec, MaxUnpoolSpec, Result, max_pool1d_with_indices, max_pool2d_with_indices,
    max_pool3d_with_indices, max_unpool1d, max_unpool2d, max_unpool3d,
};

/// The public functions of one rank.
struct Ops<const D: usize> {
    pool: fn(&Tensor, &MaxPoolSpec<D>) -> Result<(Tensor, Tensor)>,
    unpool: fn(&Tensor, &Tensor, &MaxUnpoolSpec<D>) -> Result<Tensor>,
}

const ONE: Ops<1> = Ops { pool: max_pool1d_with_indices, unpool: max_unpool1d };
const TWO: Ops<2> = Ops { pool: max_pool2d_with_indices, unpool: max_unpool2d };
const THREE: Ops<3> = Ops { pool: max_pool3d_with_indices, unpool: max_unpool3d };

fn golden_of<const D: usize>(ops: &Ops<D>) -> Count {
    let axes = |case: &Case, name: &str| case.axes::<D>(name).unwrap();
    support::check(
        &format!("max_unpool{D}d"),
        |_| true,
        |case, inputs| {
            let spec = MaxUnpoolSpec::new(axes(case, "kernel_size")).stride(axes(case, "stride"));
            let spec = spec.padding(axes(case, "padding")).output_size(axes(case, "output_size"));
            (ops.unpool)(&inputs["input"], &inputs["indices"], &spec).map(|y| Some(vec![y]))
        },
        |case, error: &Error| panic!("{}: {error}, but the reference refuses nothing", case.id),
    )
}

#[test]
fn golden() {
    let all = || Count { passed: 24, refused: 0 };
    assert_eq!([golden_of(&ONE), golden_of(&TWO), golden_of(&THREE)], [all(), all(), all()]);
}

/// An unpooling to planes of at most `L' = (L − 1)·s − 2p + k ± (s − 1)`.
#[derive(Debug, Clone)]
struct Geometry<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    /// How far from the default size; none asks for the default.
    away: Option<[isize; D]>,
}

impl<const D: usize> Geometry<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    fn output(&self) -> [usize; D] {
        std::array::from_fn(|i| {
            let default = (self.extents[i] - 1) * self.stride[i] + self.kernel[i] - 2 * self.padding[i];
            default.saturating_add_signed(self.away.map_or(0, |away| away[i]))
        })
    }

    fn spec(&self) -> MaxUnpoolSpec<D> {
        let spec = MaxUnpoolSpec::new(self.kernel).stride(self.stride).padding(self.padding);
        if self.away.is_some() { spec.output_size(self.output()) } else { spec }
    }
}

fn geometry<const D: usize>(largest: usize) -> impl Strategy<Value = Geometry<D>> {
    let axis = move |_| (1..=largest, 1..=4usize, 1..=4usize, 0..=2usize, -3..=3isize);
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    let all = (lead, std::array::from_fn::<_, D, _>(axis), any::<bool>());
    let geometry = all.prop_map(|(lead, axes, sized)| Geometry {
        lead,
        extents: axes.map(|axis| axis.0),
        kernel: axes.map(|axis| axis.1),
        stride: axes.map(|axis| axis.2),
        padding: axes.map(|axis| axis.3.min(axis.1 / 2)),
        away: sized.then_some(axes.map(|axis| axis.4 % axis.2 as isize)),
    });
    geometry.prop_filter("an output of nothing", |g| !g.output().contains(&0))
}

/// Values and gradients are the formula's, in both dtypes and index types, however the input lies; indices meet often.
fn is_the_formula<const D: usize>(ops: &Ops<D>, g: &Geometry<D>, fill: &[f64], draws: &[u32], layout: MemoryLayout) {
    let plane_in: usize = g.extents.iter().product();
    let plane_out: usize = g.output().iter().product();
    let shape = g.shape();
    let count = shape.iter().product();
    let indices: Vec<u32> = draws.iter().cycle().take(count).map(|draw| draw % plane_out as u32).collect();
    let places = Tensor::from_slice(&indices, shape.as_slice(), &Device::Cpu).unwrap();
    for dtype in [DType::F64, DType::F32] {
        let leaf = Var::from_tensor(&filled(fill, &shape).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let y = (ops.unpool)(&x, &places, &g.spec()).unwrap();
        let y_shape = [g.lead.as_slice(), &g.output()].concat();
        assert_eq!((y.dims(), y.dtype()), (y_shape.as_slice(), dtype));
        let weight = integers(y.dims(), 3).to_dtype(dtype).unwrap();
        let (x_values, dy) = (values(&x), values(&weight));
        let (mut expected, mut from) = (vec![0.; y.elem_count()], vec![None; y.elem_count()]);
        for (i, &index) in indices.iter().enumerate() {
            let at = i / plane_in * plane_out + index as usize;
            (expected[at], from[at]) = (x_values[i], Some(i));
        }
        assert_eq!(bits(&y), bits(&Tensor::from_vec(expected, y.shape(), &Device::Cpu).unwrap()));
        let wide = turned(&scattered(&places.to_dtype(DType::I64).unwrap()));
        assert_eq!(bits(&(ops.unpool)(&x, &wide, &g.spec()).unwrap()), bits(&y));

        let mut dx = vec![0.; count];
        for (from, dy) in from.iter().zip(dy).filter_map(|(from, dy)| Some(((*from)?, dy))) {
            dx[from] = dy;
        }
        let dx = Tensor::from_vec(dx, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let grad = |y: &Tensor, weight: &Tensor| {
            let grads = (y * weight).unwrap().sum_all().unwrap().backward().unwrap();
            values(grads.get(&leaf).unwrap())
        };
        assert_eq!(grad(&y, &weight), grad(&x, &dx));
    }
}

/// What is put back where it lay is pooled again: the same maxima at the same places.
fn undoes_the_pooling<const D: usize>(ops: &Ops<D>, g: &Geometry<D>, fill: &[f64]) {
    let x = (filled(fill, &[g.lead.as_slice(), &g.output()].concat()) + 9.).unwrap();
    let spec = MaxPoolSpec::new(g.kernel).stride(g.stride).padding(g.padding);
    let Ok((y, places)) = (ops.pool)(&x, &spec) else { return };
    let undo = MaxUnpoolSpec::new(g.kernel).stride(g.stride).padding(g.padding).output_size(g.output());
    let back = (ops.unpool)(&y, &places, &undo).unwrap();
    let (again, same) = (ops.pool)(&back, &spec).unwrap();
    assert_eq!((values(&again), values(&same)), (values(&y), values(&places)));
    let kept = values(&back).into_iter().zip(values(&x));
    assert!(kept.into_iter().all(|(back, x)| back == 0. || back == x));
}

fn gradients_of<const D: usize>(ops: &Ops<D>, g: &Geometry<D>, x: Tensor, draws: &[u32]) {
    let plane_out: usize = g.output().iter().product();
    let places = draws.iter().cycle().take(x.elem_count()).map(|draw| draw % plane_out as u32);
    let places = Tensor::from_iter(places, &Device::Cpu).unwrap().reshape(x.shape()).unwrap();
    let unpool = |x: &Tensor| (ops.unpool)(x, &places, &g.spec());
    let x = [x];
    let check = GradCheck::new(format!("max_unpool{D}d")).forbid_wasted_gradients();
    check.clone().linear_in([0]).check(|x: &[Tensor]| unpool(&x[0]), &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| unpool(&x[0].tanh()?), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| unpool(&x[0])?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

const CORNERS: [f64; 7] = [-2., -0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn draws() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 1..=48)
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn one_axis_is_the_formula(g in geometry(9), fill in pattern(&CORNERS), draws in draws(), layout in layouts()) {
        is_the_formula(&ONE, &g, &fill, &draws, layout);
    }

    #[test]
    fn two_axes_are_the_formula(g in geometry(5), fill in pattern(&CORNERS), draws in draws(), layout in layouts()) {
        is_the_formula(&TWO, &g, &fill, &draws, layout);
    }

    #[test]
    fn three_axes_are_the_formula(g in geometry(3), fill in pattern(&CORNERS), draws in draws(), layout in layouts()) {
        is_the_formula(&THREE, &g, &fill, &draws, layout);
    }

    #[test]
    fn it_undoes_the_pooling(
        (g1, g2, g3) in (geometry(9), geometry(5), geometry(3)),
        fill in pattern(&[-3., -2., -1., 0., 1., 2., 3.]),
    ) {
        undoes_the_pooling(&ONE, &g1, &fill);
        undoes_the_pooling(&TWO, &g2, &fill);
        undoes_the_pooling(&THREE, &g3, &fill);
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn gradients((g1, g2, g3) in (geometry(7), geometry(4), geometry(2)), fill in distinct(), draws in draws()) {
        let x = |extents: &[usize]| fill.tensor(&[&[2, 3], extents].concat(), DType::F64).unwrap();
        gradients_of(&ONE, &g1, x(&g1.extents), &draws);
        gradients_of(&TWO, &g2, x(&g2.extents), &draws);
        gradients_of(&THREE, &g3, x(&g3.extents), &draws);
    }
}

fn tensor<const W: usize>(row: [f64; W]) -> Tensor {
    Tensor::new(&[row], &Device::Cpu).unwrap()
}

/// PyTorch 2.15 gives the gradient [3, 3, 1] here: that of the last element for both.
#[test]
fn of_equal_indices_the_last_wins_and_the_other_has_no_gradient() {
    let x = Var::from_tensor(&tensor([f64::NAN, 2., 3.])).unwrap();
    let y = max_unpool1d(&x, &Tensor::new(&[[2u32, 2, 0]], &Device::Cpu).unwrap(), &MaxUnpoolSpec::new(2)).unwrap();
    assert_eq!(values(&y), [3., 0., 2., 0., 0., 0.]);
    let grads = (y * tensor([1., 2., 3., 4., 5., 6.])).unwrap().backward().unwrap();
    assert_eq!(values(grads.get(&x).unwrap()), [0., 3., 1.]);
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 2, 4), DType::F32, &Device::Cpu).unwrap();
    let indices = Tensor::zeros((0, 3, 2, 4), DType::I64, &Device::Cpu).unwrap();
    let y = max_unpool2d(&x, &indices, &MaxUnpoolSpec::new([2, 3])).unwrap();
    assert_eq!(y.dims(), [0, 3, 4, 12]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 2, 4]);
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    let indices = Tensor::zeros((2, 3, 4), DType::I64, &Device::Cpu).unwrap();
    assert!(!max_unpool1d(&integers(&[2, 3, 4], 1), &indices, &MaxUnpoolSpec::new(2)).unwrap().track_op());
}

#[test]
fn halves_are_put_as_they_are() {
    let (_, indices) = max_pool2d_with_indices(&reals(&[2, 3, 6, 8], 1), &MaxPoolSpec::new([3, 2])).unwrap();
    let spec = MaxUnpoolSpec::new([3, 2]);
    halves_round_once(|t| max_unpool2d(&t[0], &indices, &spec).unwrap(), &[reals(&[2, 3, 2, 4], 2)]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = reals(&[3, 40, 37, 41], 1);
    let (y, indices) = max_pool2d_with_indices(&x, &MaxPoolSpec::new([3, 2]).stride([2, 1])).unwrap();
    same_on_any_threads(|| {
        let y = Var::from_tensor(&y).unwrap();
        let spec = MaxUnpoolSpec::new([3, 2]).stride([2, 1]);
        let back = max_unpool2d(&y, &indices, &spec).unwrap();
        let dy = back.sqr().unwrap().backward().unwrap().get(&y).unwrap().clone();
        vec![back, dy]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let index = |shape: &[usize]| Tensor::zeros(shape, DType::I64, &Device::Cpu).unwrap();
    let new = || MaxUnpoolSpec::<2>::new([2, 3]);
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let shape: Is = |e| matches!(e, Error::Shape { argument: "indices", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let padding: Is = |e| matches!(e, Error::PoolPadding { .. });
    let size: Is = |e| matches!(e, Error::UnpoolSize { .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { what: "the output", .. });
    let dtype: Is = |e| matches!(e, Error::DType { .. });
    let x = zeros(&[2, 3, 6, 7]);
    let i = index(&[2, 3, 6, 7]);
    let tall = new().stride([4, 3]);
    let cases = [
        (zeros(&[6, 7]), index(&[6, 7]), new(), rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (x.clone(), index(&[2, 3, 7, 6]), new(), shape, "indices must have shape [2, 3, 6, 7], got [2, 3, 7, 6]"),
        (x.clone(), i.clone(), MaxUnpoolSpec::new([0, 3]), positive, "kernel_size must be positive, got [0, 3]"),
        (x.clone(), i.clone(), new().stride([1, 0]), positive, "stride must be positive, got [1, 0]"),
        (
            zeros(&[2, 3, 0, 7]),
            index(&[2, 3, 0, 7]),
            new(),
            positive,
            "every extent of a plane of the input must be positive, got [0, 7]",
        ),
        (
            zeros(&[2, 3, 1, 7]),
            index(&[2, 3, 1, 7]),
            new().padding([1, 0]),
            positive,
            "every extent of the output must be positive, got [0, 21]",
        ),
        (x.clone(), i.clone(), new().padding([1, 2]), padding, "padding (=2) may be at most half of kernel_size (=3)"),
        (
            x.clone(),
            i.clone(),
            tall.output_size([26, 21]),
            size,
            "output_size (=26) must lie strictly within stride (=4) of the default (=22)",
        ),
        (
            x.clone(),
            i.clone(),
            tall.output_size([19, 18]),
            size,
            "output_size (=18) must lie strictly within stride (=3) of the default (=21)",
        ),
        (x.clone(), i.clone(), new().stride([usize::MAX, 1]), overflow, "the size of the output overflows"),
        (x.clone(), i.clone(), new().stride([1 << 58, 1]), overflow, "the size of the output overflows"),
        (x.clone(), x.clone(), new(), dtype, "dtype F32 is not supported, convert to one of u32, i64 (indices)"),
        (i.clone(), i.clone(), new(), dtype, "dtype I64 is not supported, convert to one of bf16, f16, f32, f64"),
    ];
    for (x, indices, spec, is, message) in cases {
        let error = max_unpool2d(&x, &indices, &spec).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with("max_unpool2d: ") && error.to_string().contains(message), "{error}");
    }
    for bad in [24i64, -1, i64::MIN] {
        let indices = Tensor::new(&[[[0i64, 1], [2, 3]], [[4, 23], [bad, 5]]], &Device::Cpu).unwrap();
        let error = max_unpool2d(&zeros(&[2, 2, 2]), &indices, &new()).unwrap_err();
        assert!(matches!(error, Error::IndexOutOfBounds { index, .. } if index == bad));
        let message = format!("index {bad} at position [1, 1, 0] is out of bounds for planes of [4, 6]");
        assert_eq!(error.to_string(), format!("max_unpool2d: {message}"));
    }
}
