//! Fractional maximum pooling against the reference's vectors, its formula, its draws, differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "a maximum is one of the inputs")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, scattered, turned, values};
use support::pooling::{Window, bits, elements, filled, layouts, maxima, pattern, positions};
use support::{Case, Count};
use taper_gradcheck::strategies::distinct;
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::random::{counter, philox4x32, unit};
use taper_ops::{
    Draw, Error, FractionalMaxPoolSpec, Result, fractional_max_pool2d, fractional_max_pool2d_with_indices,
    fractional_max_pool3d, fractional_max_pool3d_with_indices,
};

/// The public functions of one rank.
struct Ops<const D: usize> {
    max: fn(&Tensor, &FractionalMaxPoolSpec<D>, &Tensor) -> Result<Tensor>,
    drawn: fn(&Tensor, &FractionalMaxPoolSpec<D>, Draw) -> Result<Tensor>,
    with_indices: fn(&Tensor, &FractionalMaxPoolSpec<D>, &Tensor) -> Result<(Tensor, Tensor)>,
}

const TWO: Ops<2> = Ops {
    max: |x, spec, samples| fractional_max_pool2d(x, spec, samples),
    drawn: |x, spec, draw| fractional_max_pool2d(x, spec, draw),
    with_indices: |x, spec, samples| fractional_max_pool2d_with_indices(x, spec, samples),
};
const THREE: Ops<3> = Ops {
    max: |x, spec, samples| fractional_max_pool3d(x, spec, samples),
    drawn: |x, spec, draw| fractional_max_pool3d(x, spec, draw),
    with_indices: |x, spec, samples| fractional_max_pool3d_with_indices(x, spec, samples),
};

const DRAW: Draw = Draw { seed: 0x0123_4567_89ab_cdef, step: 5, layer: 3, first_sample: 2 };

fn golden_of<const D: usize>(ops: &Ops<D>) -> Count {
    let axes = |case: &Case, name: &str| case.axes::<D>(name).unwrap();
    support::check(
        &format!("fractional_max_pool{D}d"),
        |_| true,
        |case, inputs| {
            let spec = FractionalMaxPoolSpec::new(axes(case, "kernel_size"), axes(case, "output_size"));
            let (x, samples) = (&inputs["input"], &inputs["random_samples"]);
            let (y, indices) = (ops.with_indices)(x, &spec, samples)?;
            assert_eq!(bits(&y), bits(&(ops.max)(x, &spec, samples)?), "{}", case.id);
            Ok(Some(vec![y, indices]))
        },
        |case, error: &Error| panic!("{}: {error}, but the reference refuses nothing", case.id),
    )
}

#[test]
fn golden() {
    let all = || Count { passed: 24, refused: 0 };
    assert_eq!([golden_of(&TWO), golden_of(&THREE)], [all(), all()]);
}

#[derive(Debug, Clone)]
struct Geometry<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    kernel: [usize; D],
    output: [usize; D],
}

impl<const D: usize> Geometry<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    fn spec(&self) -> FractionalMaxPoolSpec<D> {
        FractionalMaxPoolSpec::new(self.kernel, self.output)
    }

    fn samples(&self) -> Vec<usize> {
        let batch = if self.lead.len() == 1 { 1 } else { self.lead[0] };
        vec![batch, self.lead[self.lead.len() - 1], D]
    }

    /// The windows of a plane whose numbers are `u`.
    fn windows(&self, u: &[f64]) -> Vec<Window<D>> {
        let held = |axis: usize, i: usize| -> Vec<usize> {
            let (l, k, o) = (self.extents[axis], self.kernel[axis], self.output[axis]);
            let u = if D == 2 { u[1 - axis] } else { u[axis] };
            let alpha = (l - k) as f64 / (o as f64 - 1.);
            let start =
                if i == o - 1 { (l - k) as f64 } else { ((i as f64 + u) * alpha).floor() - (u * alpha).floor() };
            (start as usize..start as usize + k).collect()
        };
        let window = |output: [usize; D]| {
            let held = std::array::from_fn(|axis| held(axis, output[axis]));
            Window { output, elements: elements(&self.extents, &held) }
        };
        positions(self.output).map(window).collect()
    }
}

fn geometry<const D: usize>(largest: usize) -> impl Strategy<Value = Geometry<D>> {
    let axis = move |_| (1..=3usize, 1..=largest, 0..=largest);
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    (lead, std::array::from_fn::<_, D, _>(axis)).prop_map(|(lead, axes)| Geometry {
        lead,
        extents: axes.map(|(kernel, output, spare)| kernel + output - 1 + spare),
        kernel: axes.map(|axis| axis.0),
        output: axes.map(|axis| axis.1),
    })
}

/// Values, places and gradients are the formula's, in both dtypes and however the input lies.
fn is_the_formula<const D: usize>(ops: &Ops<D>, g: &Geometry<D>, fill: &[f64], u: &[f64], layout: MemoryLayout) {
    let plane: usize = g.extents.iter().product();
    let samples = filled(u, &g.samples());
    let windows: Vec<Vec<Window<D>>> = values(&samples).chunks_exact(D).map(|u| g.windows(u)).collect();
    for dtype in [DType::F64, DType::F32] {
        let leaf = Var::from_tensor(&filled(fill, &g.shape()).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let (y, places) = (ops.with_indices)(&x, &g.spec(), &samples).unwrap();
        assert_eq!((y.dims(), y.dtype()), ([g.lead.as_slice(), &g.output].concat().as_slice(), dtype));
        let weight = integers(y.dims(), 3).to_dtype(dtype).unwrap();
        let (mut expected, mut at, mut dx) = (vec![], vec![], vec![]);
        let per_plane = g.output.iter().product::<usize>();
        for (n, (x, dy)) in values(&x).chunks_exact(plane).zip(values(&weight).chunks_exact(per_plane)).enumerate() {
            let naive = maxima(&windows[n], plane, x, dy);
            expected.extend(naive.y);
            at.extend(naive.places);
            dx.extend(naive.dx);
        }
        assert_eq!(bits(&y), bits(&Tensor::from_vec(expected, y.shape(), &Device::Cpu).unwrap()));
        assert_eq!(places.flatten_all().unwrap().to_vec1::<i64>().unwrap(), at);
        for samples in [scattered(&samples), turned(&samples)] {
            assert_eq!(bits(&(ops.max)(&x, &g.spec(), &samples).unwrap()), bits(&y));
        }
        let dx = Tensor::from_vec(dx, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let grad = |y: &Tensor, weight: &Tensor| {
            let grads = (y * weight).unwrap().sum_all().unwrap().backward().unwrap();
            values(grads.get(&leaf).unwrap())
        };
        assert_eq!(grad(&y, &weight), grad(&x, &dx));
    }
}

fn gradients_of<const D: usize>(ops: &Ops<D>, g: &Geometry<D>, x: Tensor) {
    let x = [x];
    let pool = |x: &Tensor| (ops.drawn)(x, &g.spec(), DRAW);
    let check = GradCheck::new(format!("fractional_max_pool{D}d")).forbid_wasted_gradients();
    check.check(|x: &[Tensor]| pool(&x[0]), &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| pool(&x[0].tanh()?), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| pool(&x[0])?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

const CORNERS: [f64; 9] = [-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// Multiples of 1/64, which every dtype holds.
fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0..=64u32).prop_map(|u| f64::from(u) / 64.), 1..=16)
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn two_axes_are_the_formula(
        g in geometry(6), fill in pattern(&CORNERS), u in numbers(), layout in layouts(),
    ) {
        is_the_formula(&TWO, &g, &fill, &u, layout);
    }

    #[test]
    fn three_axes_are_the_formula(
        g in geometry(4), fill in pattern(&CORNERS), u in numbers(), layout in layouts(),
    ) {
        is_the_formula(&THREE, &g, &fill, &u, layout);
    }

    /// A draw's numbers are those of its words, whatever the numbers' order of use.
    #[test]
    fn a_draw_is_its_words(g in geometry::<3>(4), first_sample in 0..1u64 << 40, seed in any::<u64>()) {
        let draw = Draw { first_sample, seed, ..DRAW };
        let x = reals(&g.shape(), 7);
        let shape = g.samples();
        let first = first_sample * (shape[1] * shape[2]) as u64;
        let number = |e: u64| {
            let words = philox4x32(seed, counter((first + e) / 4, 5, 3));
            unit(words[((first + e) % 4) as usize])
        };
        let samples = Tensor::from_iter((0..shape.iter().product::<usize>() as u64).map(number), &Device::Cpu).unwrap();
        let given = fractional_max_pool3d(&x, &g.spec(), &samples.reshape(shape).unwrap()).unwrap();
        prop_assert_eq!(values(&fractional_max_pool3d(&x, &g.spec(), draw).unwrap()), values(&given));
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn gradients((g2, g3) in (geometry(3), geometry(2)), fill in distinct()) {
        let x = |extents: &[usize]| fill.tensor(&[&[2, 3], extents].concat(), DType::F64).unwrap();
        gradients_of(&TWO, &g2, x(&g2.extents));
        gradients_of(&THREE, &g3, x(&g3.extents));
    }
}

#[test]
fn a_batch_in_pieces_draws_the_windows_of_the_whole() {
    let x = reals(&[7, 3, 9, 11], 1);
    let spec = FractionalMaxPoolSpec::new([2, 3], [5, 4]);
    let whole = values(&fractional_max_pool2d(&x, &spec, DRAW).unwrap());
    for cut in 1..7 {
        let piece = |first: usize, len: usize| {
            let draw = Draw { first_sample: DRAW.first_sample + first as u64, ..DRAW };
            values(&fractional_max_pool2d(&x.narrow(0, first, len).unwrap(), &spec, draw).unwrap())
        };
        assert_eq!([piece(0, cut), piece(cut, 7 - cut)].concat(), whole);
    }
}

#[test]
fn planes_have_windows_of_their_own() {
    let x = reals(&[1, 1, 9, 11], 1).broadcast_as((4, 5, 9, 11)).unwrap();
    let y = fractional_max_pool2d(&x, &FractionalMaxPoolSpec::new([2, 3], [5, 4]), DRAW).unwrap();
    let planes = y.reshape((20, 20)).unwrap().to_vec2::<f64>().unwrap();
    let mut distinct = planes.clone();
    distinct.sort_by(|a, b| a.partial_cmp(b).unwrap());
    distinct.dedup();
    assert!(distinct.len() > 5, "{} of 20", distinct.len());
}

#[test]
fn a_ratio_rounds_down() {
    let x = reals(&[2, 3, 5, 9], 1);
    for (ratio, output) in [([0.5, 0.7], [2, 6]), ([0.6, 0.34], [3, 3])] {
        let by_ratio = fractional_max_pool2d(&x, &FractionalMaxPoolSpec::with_ratio([2, 3], ratio), DRAW).unwrap();
        let by_size = fractional_max_pool2d(&x, &FractionalMaxPoolSpec::new([2, 3], output), DRAW).unwrap();
        assert_eq!(values(&by_ratio), values(&by_size));
    }
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let y = fractional_max_pool2d(&x, &FractionalMaxPoolSpec::new([2, 3], [3, 2]), DRAW).unwrap();
    assert_eq!(y.dims(), [0, 3, 3, 2]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    let spec = FractionalMaxPoolSpec::new([2, 1], [2, 3]);
    let (y, places) = fractional_max_pool2d_with_indices(&integers(&[2, 3, 4, 6], 1), &spec, DRAW).unwrap();
    assert!(!y.track_op() && !places.track_op());
}

#[test]
fn halves_are_taken_as_they_are() {
    let spec = FractionalMaxPoolSpec::new([2, 3], [4, 2]);
    halves_round_once(|t| fractional_max_pool2d(&t[0], &spec, DRAW).unwrap(), &[reals(&[2, 3, 7, 6], 2)]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = reals(&[3, 40, 37, 41], 1).to_dtype(DType::F32).unwrap();
    same_on_any_threads(|| {
        let x = Var::from_tensor(&x).unwrap();
        let spec = FractionalMaxPoolSpec::with_ratio([3, 2], [0.6, 0.7]);
        let (y, places) = fractional_max_pool2d_with_indices(&x, &spec, DRAW).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, places, dx]
    });
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[2, 3, 6, 7]);
    let new = FractionalMaxPoolSpec::<2>::new;
    let ratio = |ratio| FractionalMaxPoolSpec::<2>::with_ratio([2, 3], ratio);
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let many: Is = |e| matches!(e, Error::TooManyWindows { .. });
    let value: Is = |e| matches!(e, Error::Value { argument: "output_ratio", .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let cases = [
        (zeros(&[6, 7]), new([2, 3], [2, 3]), rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (x.clone(), new([0, 3], [2, 3]), positive, "kernel_size must be positive, got [0, 3]"),
        (x.clone(), new([2, 3], [0, 3]), positive, "output_size must be positive, got [0, 3]"),
        (x.clone(), ratio([0.1, 0.5]), positive, "output_size must be positive, got [0, 3]"),
        (
            x.clone(),
            new([2, 3], [6, 3]),
            many,
            "output_size (=6) windows of kernel_size (=2) need an extent of at least output_size + kernel_size - 1, got 6",
        ),
        (x.clone(), new([2, usize::MAX], [1, usize::MAX]), many, "need an extent of at least"),
        (x.clone(), new([2, 8], [1, 1]), many, "output_size (=1) windows of kernel_size (=8)"),
        (x.clone(), ratio([0.5, 1.]), value, "output_ratio must be between 0 and 1, got 1"),
        (x.clone(), ratio([f64::NAN, 0.5]), value, "output_ratio must be between 0 and 1, got NaN"),
        (x.to_dtype(DType::U8).unwrap(), new([2, 3], [2, 3]), dtype, "dtype U8 is not supported"),
    ];
    for (x, spec, is, message) in cases {
        let error = fractional_max_pool2d(&x, &spec, DRAW).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(
            error.to_string().starts_with("fractional_max_pool2d: ") && error.to_string().contains(message),
            "{error}"
        );
    }
    let with = |samples: &Tensor| fractional_max_pool2d(&x, &new([2, 3], [2, 3]), samples).unwrap_err();
    let error = with(&zeros(&[2, 3, 3]));
    assert!(matches!(error, Error::Shape { argument: "random_samples", .. }));
    let message = "fractional_max_pool2d: random_samples must have shape [2, 3, 2], got [2, 3, 3]";
    assert_eq!(error.to_string(), message);
    for bad in [-0.5, 1.5, f64::NAN] {
        let error = with(&(zeros(&[2, 3, 2]) + bad).unwrap());
        assert!(matches!(error, Error::Value { argument: "random_samples", .. }));
        let message = format!("fractional_max_pool2d: random_samples must be between 0 and 1, got {bad}");
        assert_eq!(error.to_string(), message);
    }
    let error = with(&zeros(&[2, 3, 2]).to_dtype(DType::I64).unwrap());
    assert!(matches!(error, Error::DType { dtype: DType::I64, .. }), "{error}");
    let far = Draw { first_sample: u64::MAX / 2, ..DRAW };
    let error = fractional_max_pool2d(&x, &new([2, 3], [2, 3]), far).unwrap_err();
    assert!(matches!(error, Error::Overflow { what: "the batch that first_sample counts in", .. }), "{error}");
}
