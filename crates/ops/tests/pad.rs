//! Padding against the reference's vectors, its formula, its adjoint, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "padding rounds nothing, and sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, values};
use support::pooling::{layouts, positions};
use support::{Case, Count};
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{Error, PadMode, Result, pad1d, pad2d, pad3d};

type Pad<const D: usize> = fn(&Tensor, [(usize, usize); D], PadMode) -> Result<Tensor>;

fn pad_line(x: &Tensor, [padding]: [(usize, usize); 1], mode: PadMode) -> Result<Tensor> {
    pad1d(x, padding, mode)
}

/// The reference's list has (before, after) of the innermost axis first.
fn padding_of<const D: usize>(case: &Case) -> [(usize, usize); D] {
    let flat: Vec<usize> =
        case.kwargs["pad"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    assert_eq!(flat.len(), 2 * D, "{}", case.id);
    std::array::from_fn(|axis| (flat[2 * (D - 1 - axis)], flat[2 * (D - 1 - axis) + 1]))
}

fn mode_of(case: &Case) -> PadMode {
    match case.kwargs["mode"].as_str().unwrap() {
        "constant" => PadMode::Constant(case.kwargs["value"].as_f64().unwrap()),
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        mode => panic!("{}: {mode}", case.id),
    }
}

fn golden<const D: usize>(op: &str, pad: Pad<D>) {
    let count = support::check(
        op,
        |_| true,
        |case, inputs| pad(&inputs["input"], padding_of(case), mode_of(case)).map(|y| Some(vec![y])),
        |case, error| {
            let message = case.error.as_ref().unwrap();
            let same_cause = match error {
                Error::PaddingTooLarge { mode: "reflect", padding: (3, 0), limit: 2, extent: 3, .. } => {
                    message.contains("should be less than the corresponding input dimension")
                }
                Error::PaddingTooLarge { mode: "circular", padding: (4, 0), limit: 3, extent: 3, .. } => {
                    message.contains("wrapping around more than once")
                }
                _ => false,
            };
            assert!(same_cause, "{}: {error}\nthe reference: {message}", case.id);
        },
    );
    assert_eq!(count, Count { passed: 24, refused: 2 });
}

#[test]
fn golden_of_one_two_and_three_axes() {
    golden("pad1d", pad_line);
    golden("pad2d", pad2d);
    golden("pad3d", pad3d);
}

#[derive(Debug, Clone)]
struct Geometry<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    padding: [(usize, usize); D],
    mode: PadMode,
}

impl<const D: usize> Geometry<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    fn output(&self) -> [usize; D] {
        std::array::from_fn(|axis| self.padding[axis].0 + self.extents[axis] + self.padding[axis].1)
    }

    /// Where each position of an output plane comes from, in the words of the modes.
    fn sources(&self) -> Vec<Option<usize>> {
        let along = |axis: usize, position: usize| -> Option<usize> {
            let mut at = position as i64 - self.padding[axis].0 as i64;
            let end = self.extents[axis] as i64;
            while !(0..end).contains(&at) {
                at = match self.mode {
                    PadMode::Constant(_) => return None,
                    PadMode::Reflect if at < 0 => -at,
                    PadMode::Reflect => 2 * (end - 1) - at,
                    PadMode::Replicate if at < 0 => 0,
                    PadMode::Replicate => end - 1,
                    PadMode::Circular if at < 0 => at + end,
                    PadMode::Circular => at - end,
                };
            }
            Some(at as usize)
        };
        let source = |position: [usize; D]| {
            (0..D).try_fold(0, |flat, axis| Some(flat * self.extents[axis] + along(axis, position[axis])?))
        };
        positions(self.output()).map(source).collect()
    }

    fn constant(&self) -> f64 {
        if let PadMode::Constant(value) = self.mode { value } else { f64::NAN }
    }
}

fn geometry<const D: usize>() -> impl Strategy<Value = Geometry<D>> {
    let modes =
        vec![PadMode::Constant(0.), PadMode::Constant(2.5), PadMode::Reflect, PadMode::Replicate, PadMode::Circular];
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    let axis = |_| (1..=6usize, 0..=6usize, 0..=6usize);
    (lead, std::array::from_fn::<_, D, _>(axis), select(modes)).prop_map(|(lead, axes, mode)| Geometry {
        lead,
        extents: axes.map(|(extent, _, _)| extent),
        padding: axes.map(|(extent, before, after)| {
            let limit = match mode {
                PadMode::Reflect => extent - 1,
                PadMode::Circular => extent,
                PadMode::Constant(_) | PadMode::Replicate => 6,
            };
            (before.min(limit), after.min(limit))
        }),
        mode,
    })
}

fn is_the_formula<const D: usize>(pad: Pad<D>, g: &Geometry<D>, layout: MemoryLayout) -> Result<(), TestCaseError> {
    let (sources, plane) = (g.sources(), g.extents.iter().product::<usize>());
    for dtype in [DType::F64, DType::F32] {
        let leaf = Var::from_tensor(&integers(&g.shape(), 1).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let y = pad(&x, g.padding, g.mode).unwrap();
        prop_assert_eq!(y.dims(), [g.lead.as_slice(), &g.output()].concat());
        prop_assert_eq!(y.dtype(), dtype);
        let planes = values(&x);
        let formula =
            planes.chunks_exact(plane).flat_map(|x| sources.iter().map(|at| at.map_or(g.constant(), |at| x[at])));
        prop_assert_eq!(values(&y), formula.collect::<Vec<_>>());
        let dy = integers(y.dims(), 2).to_dtype(dtype).unwrap();
        let dx = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
        let mut direct = vec![0.; x.elem_count()];
        for (i, dy) in values(&dy).into_iter().enumerate() {
            if let Some(at) = sources[i % sources.len()] {
                direct[i / sources.len() * plane + at] += dy;
            }
        }
        // What candle makes of the gradient where the input is a view of the leaf.
        let direct = Tensor::from_vec(direct, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let expected = (&x * direct).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
        prop_assert_eq!(values(&dx), values(&expected));
    }
    Ok(())
}

fn has_right_gradients<const D: usize>(pad: Pad<D>, g: &Geometry<D>) {
    let x = [reals(&g.shape(), 3)];
    let check = GradCheck::new("pad").forbid_wasted_gradients();
    let once = |x: &[Tensor]| pad(&x[0], g.padding, g.mode);
    if g.constant() == 0. || g.constant().is_nan() {
        check.clone().linear_in([0]).check(once, &x).unwrap().assert_passed();
    } else {
        check.check(once, &x).unwrap().assert_passed();
    }
    check.check_second_order(|x: &[Tensor]| pad(&x[0].sqr()?, g.padding, g.mode), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| pad(&x[0], g.padding, g.mode)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

proptest! {
    #![proptest_config(config(256))]

    /// Values and gradients are the formula's, bit for bit in both dtypes and however the input lies.
    #[test]
    fn the_formula(line in geometry::<1>(), plane in geometry::<2>(), volume in geometry::<3>(), layout in layouts()) {
        is_the_formula(pad_line, &line, layout)?;
        is_the_formula(pad2d, &plane, layout)?;
        is_the_formula(pad3d, &volume, layout)?;
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn gradients(line in geometry::<1>(), plane in geometry::<2>()) {
        has_right_gradients(pad_line, &line);
        has_right_gradients(pad2d, &plane);
    }
}

#[test]
fn gradients_of_a_volume() {
    for mode in [PadMode::Constant(-1.5), PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        let (lead, extents, padding) = (vec![2, 1], [2, 3, 4], [(1, 0), (0, 2), (3, 2)]);
        has_right_gradients(pad3d, &Geometry { lead, extents, padding, mode });
    }
}

#[test]
fn an_axis_of_one_element_is_repeated() {
    let x = Tensor::new(&[[[3f64], [5.]]], &Device::Cpu).unwrap();
    assert_eq!(values(&pad2d(&x, [(0, 0), (2, 1)], PadMode::Replicate).unwrap()), [3., 3., 3., 3., 5., 5., 5., 5.]);
    assert_eq!(values(&pad2d(&x, [(1, 0), (1, 0)], PadMode::Circular).unwrap()), [5., 5., 3., 3., 5., 5.]);
    assert_eq!(values(&pad2d(&x, [(1, 1), (0, 0)], PadMode::Reflect).unwrap()), [5., 3., 5., 3.]);
}

#[test]
fn bits_are_copied_and_the_constant_is_any() {
    let x = Tensor::new(&[[f64::NAN, -0., f64::INFINITY]], &Device::Cpu).unwrap();
    let y = values(&pad1d(&x, (2, 1), PadMode::Replicate).unwrap());
    assert!(y[..3].iter().all(|y| y.is_nan()) && y[3].is_sign_negative() && y[4..] == [f64::INFINITY; 2], "{y:?}");
    let y = values(&pad1d(&x, (1, 0), PadMode::Constant(f64::NEG_INFINITY)).unwrap());
    assert_eq!(y[0], f64::NEG_INFINITY);
}

#[test]
fn what_is_empty_stays_differentiable() {
    let zeros = |shape: &[usize]| Var::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[0, 3, 5, 7]);
    let y = pad2d(&x, [(2, 1), (0, 3)], PadMode::Reflect).unwrap();
    assert_eq!(y.dims(), [0, 3, 8, 10]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
    // An empty plane becomes one of the constant.
    let x = zeros(&[2, 3, 5, 0]);
    let y = pad2d(&x, [(0, 1), (1, 1)], PadMode::Constant(4.)).unwrap();
    assert_eq!((y.dims(), values(&y)), (&[2, 3, 6, 2][..], vec![4.; 72]));
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [2, 3, 5, 0]);
}

#[test]
fn half_precision_rounds_once() {
    for mode in [PadMode::Constant(0.1), PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        halves_round_once(|x| pad2d(&x[0], [(1, 2), (3, 0)], mode).unwrap(), &[reals(&[2, 3, 5, 4], 4)]);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Var::from_tensor(&reals(&[3, 40, 37, 41], 5).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = pad2d(&x, [(5, 0), (7, 3)], PadMode::Reflect).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, dx]
    });
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    assert!(!pad2d(&integers(&[2, 3, 4, 5], 1), [(1, 2), (0, 3)], PadMode::Circular).unwrap().track_op());
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[2, 3, 6, 7]);
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let large: Is = |e| matches!(e, Error::PaddingTooLarge { .. });
    let empty: Is = |e| matches!(e, Error::NotPositive { .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let (constant, max) = (PadMode::Constant(1.), usize::MAX);
    let cases = [
        (zeros(&[6, 7]), [(1, 2), (0, 3)], constant, rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (
            x.clone(),
            [(1, 2), (0, 7)],
            PadMode::Reflect,
            large,
            "reflect padding (0, 7) may be at most 6 on an axis of extent 7; pad less",
        ),
        (
            x.clone(),
            [(7, 2), (0, 3)],
            PadMode::Circular,
            large,
            "circular padding (7, 2) may be at most 6 on an axis of extent 6; pad less",
        ),
        (
            zeros(&[2, 3, 0, 7]),
            [(0, 0), (1, 2)],
            PadMode::Replicate,
            empty,
            "every extent of a plane of the input must be positive, got [0, 7]",
        ),
        (x.clone(), [(max, 2), (0, 3)], constant, overflow, "the size of the output overflows; use smaller extents"),
        (x.clone(), [(1 << 61, 2), (0, 3)], constant, overflow, "the size of the output overflows"),
        (
            x.to_dtype(DType::U8).unwrap(),
            [(1, 2), (0, 3)],
            constant,
            dtype,
            "dtype U8 is not supported, convert to one of bf16, f16, f32, f64",
        ),
    ];
    for (x, padding, mode, is, message) in cases {
        let error = pad2d(&x, padding, mode).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with("pad2d: ") && error.to_string().contains(message), "{error}");
    }
}
