//! Resampling against the reference's vectors, its formula, finite differences, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "copies round nothing")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use support::config;
use support::layouts::{halves_round_once, integers, reals, same_on_any_threads, values};
use support::pooling::{layouts, positions};
use support::{Case, Count, close};
use taper_gradcheck::{GradCheck, MemoryLayout};
use taper_ops::{Error, InterpolateMode, Resize, Result, interpolate1d, interpolate2d, interpolate3d};

use InterpolateMode::{Bicubic, Linear, Nearest, NearestExact};

type Interpolate<const D: usize> = fn(&Tensor, Resize<D>, InterpolateMode) -> Result<Tensor>;

fn mode_of(case: &Case) -> InterpolateMode {
    match case.kwargs["mode"].as_str().unwrap() {
        "nearest" => Nearest,
        "nearest-exact" => NearestExact,
        "linear" | "bilinear" | "trilinear" => Linear { align_corners: case.flag("align_corners") },
        "bicubic" => Bicubic { align_corners: case.flag("align_corners") },
        mode => panic!("{}: {mode}", case.id),
    }
}

fn resize_of<const D: usize>(case: &Case) -> Resize<D> {
    match case.kwargs["scale_factor"].as_array() {
        None => Resize::Size(case.axes("size").unwrap()),
        Some(factors) => Resize::ScaleFactor(std::array::from_fn(|axis| factors[axis].as_f64().unwrap())),
    }
}

fn golden<const D: usize>(op: &str, interpolate: Interpolate<D>) {
    let count = support::check(
        op,
        |_| true,
        |case, inputs| interpolate(&inputs["input"], resize_of(case), mode_of(case)).map(|y| Some(vec![y])),
        |case, error| panic!("{}: {error}", case.id),
    );
    assert_eq!(count, Count { passed: 24, refused: 0 });
}

#[test]
fn golden_of_one_two_and_three_axes() {
    golden("interpolate1d", interpolate1d);
    golden("interpolate2d", interpolate2d);
    golden("interpolate3d", interpolate3d);
}

#[test]
fn golden_of_factors_and_bicubic() {
    let count = support::check(
        "interpolate",
        |_| true,
        |case, inputs| {
            let (x, mode) = (&inputs["input"], mode_of(case));
            let y = match x.rank() {
                3 => interpolate1d(x, resize_of::<1>(case), mode),
                4 => interpolate2d(x, resize_of::<2>(case), mode),
                _ => interpolate3d(x, resize_of::<3>(case), mode),
            };
            y.map(|y| Some(vec![y]))
        },
        |case, error| {
            let message = case.error.as_ref().unwrap();
            let same_cause = match error {
                Error::BicubicAxes { axes: 1, .. } => message.contains("(got bicubic)"),
                Error::NotPositive { argument: "the output size", .. } => message.contains("should be greater than 0"),
                _ => false,
            };
            assert!(same_cause, "{}: {error}\nthe reference: {message}", case.id);
        },
    );
    assert_eq!(count, Count { passed: 52, refused: 2 });
}

#[derive(Debug, Clone)]
struct Geometry<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    resize: Resize<D>,
    mode: InterpolateMode,
}

impl<const D: usize> Geometry<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }

    fn output(&self) -> [usize; D] {
        match self.resize {
            Resize::Size(size) => size,
            Resize::ScaleFactor(factors) => {
                std::array::from_fn(|axis| (self.extents[axis] as f64 * factors[axis]) as usize)
            }
        }
    }

    /// The weight of every position of one axis in output position `i`: the formula, with what lies beyond the ends added to
    /// the outermost elements.
    fn weights(&self, axis: usize, i: usize) -> Vec<f64> {
        let (input, output) = (self.extents[axis], self.output()[axis]);
        if let (Resize::ScaleFactor(_), Nearest) = (self.resize, self.mode)
            && [input, 2 * input].contains(&output)
        {
            return Self { resize: Resize::Size(self.output()), ..self.clone() }.weights(axis, i);
        }
        let scale = match self.resize {
            Resize::Size(_) => input as f64 / output as f64,
            Resize::ScaleFactor(factors) => 1. / factors[axis],
        };
        let position = |align_corners: bool| match align_corners {
            true if output == 1 => 0.,
            true => i as f64 * (input as f64 - 1.) / (output as f64 - 1.),
            false => scale * (i as f64 + 0.5) - 0.5,
        };
        let mut weights = vec![0.; input];
        // Twice the position in whole numbers of halves, where whole numbers say it exactly.
        let exact = |doubled: usize| match self.resize {
            Resize::Size(_) => doubled * input / (2 * output),
            Resize::ScaleFactor(factors) => (doubled as f64 / 2. / factors[axis]).floor() as usize,
        };
        match self.mode {
            Nearest => weights[exact(2 * i).min(input - 1)] = 1.,
            NearestExact => weights[exact(2 * i + 1).min(input - 1)] = 1.,
            Linear { .. } if input == output => weights[i] = 1.,
            Linear { align_corners } => {
                let at = position(align_corners).max(0.);
                let beyond = |j: i64| (1. - (at - j as f64).abs()).max(0.);
                (0..=input as i64).for_each(|j| weights[(j as usize).min(input - 1)] += beyond(j));
            }
            Bicubic { align_corners } => {
                let at = position(align_corners);
                for j in -3..input as i64 + 3 {
                    let (t, a) = ((at - j as f64).abs(), -0.75);
                    let weight = match t {
                        t if t <= 1. => (a + 2.) * t.powi(3) - (a + 3.) * t.powi(2) + 1.,
                        t if t < 2. => a * t.powi(3) - 5. * a * t.powi(2) + 8. * a * t - 4. * a,
                        _ => 0.,
                    };
                    weights[j.clamp(0, input as i64 - 1) as usize] += weight;
                }
            }
        }
        weights
    }

    /// The matrix of one plane, a row an output position.
    fn matrix(&self) -> Vec<Vec<f64>> {
        let row = |at: [usize; D]| {
            let axes: Vec<Vec<f64>> = (0..D).map(|axis| self.weights(axis, at[axis])).collect();
            positions(self.extents).map(|from| (0..D).map(|axis| axes[axis][from[axis]]).product()).collect()
        };
        positions(self.output()).map(row).collect()
    }
}

fn geometry<const D: usize>() -> impl Strategy<Value = Geometry<D>> {
    let mut modes = vec![Nearest, NearestExact, Linear { align_corners: true }, Linear { align_corners: false }];
    if D == 2 {
        modes.extend([Bicubic { align_corners: true }, Bicubic { align_corners: false }]);
    }
    let lead = prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])];
    let factor = select(vec![0.4, 0.5, 0.75, 1., 1.125, 1.25, 1.5, 2., 2.125, 2.5, 3.]);
    let axis = |_| (1..=6usize, 1..=9usize, factor.clone());
    (lead, std::array::from_fn::<_, D, _>(axis), any::<bool>(), select(modes)).prop_map(|(lead, axes, scaled, mode)| {
        let extents = axes.map(|(extent, _, _)| extent);
        // No factor that leaves nothing.
        let factors = axes.map(|(extent, _, factor)| if extent as f64 * factor < 1. { 2. } else { factor });
        let resize = if scaled { Resize::ScaleFactor(factors) } else { Resize::Size(axes.map(|(_, size, _)| size)) };
        Geometry { lead, extents, resize, mode }
    })
}

fn is_the_formula<const D: usize>(
    interpolate: Interpolate<D>,
    g: &Geometry<D>,
    layout: MemoryLayout,
) -> Result<(), TestCaseError> {
    let (matrix, plane) = (g.matrix(), g.extents.iter().product::<usize>());
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
        let leaf = Var::from_tensor(&integers(&g.shape(), 1).to_dtype(dtype).unwrap()).unwrap();
        let x = layout.apply(&leaf).unwrap();
        let y = interpolate(&x, g.resize, g.mode).unwrap();
        prop_assert_eq!(y.dims(), [g.lead.as_slice(), &g.output()].concat());
        prop_assert_eq!(y.dtype(), dtype);
        let dot = |row: &Vec<f64>, x: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        let formula: Vec<f64> =
            values(&x).chunks_exact(plane).flat_map(|x| matrix.iter().map(move |row| dot(row, x))).collect();
        close("y", &y, &Tensor::from_vec(formula, y.shape(), &Device::Cpu).unwrap(), tolerance);
        let dy = integers(y.dims(), 2).to_dtype(dtype).unwrap();
        let dx = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
        let mut direct = vec![0.; x.elem_count()];
        for (dx, dy) in direct.chunks_exact_mut(plane).zip(values(&dy).chunks_exact(matrix.len())) {
            for (row, dy) in matrix.iter().zip(dy) {
                dx.iter_mut().zip(row).for_each(|(dx, w)| *dx += w * dy);
            }
        }
        // What candle makes of the gradient where the input is a view of the leaf.
        let direct = Tensor::from_vec(direct, x.shape(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let expected = (&x * direct).unwrap().sum_all().unwrap().backward().unwrap().get(&leaf).unwrap().clone();
        close("dx", &dx, &expected.to_dtype(DType::F64).unwrap(), tolerance);
    }
    Ok(())
}

fn has_right_gradients<const D: usize>(interpolate: Interpolate<D>, g: &Geometry<D>) {
    let x = [reals(&g.shape(), 3)];
    let check = GradCheck::new("interpolate").forbid_wasted_gradients();
    let once = |x: &[Tensor]| interpolate(&x[0], g.resize, g.mode);
    check.clone().linear_in([0]).check(once, &x).unwrap().assert_passed();
    check.check_second_order(|x: &[Tensor]| interpolate(&x[0].sqr()?, g.resize, g.mode), &x).unwrap().assert_passed();
    let curved = |x: &[Tensor]| interpolate(&x[0], g.resize, g.mode)?.sqr().map_err(Error::from);
    check.check_second_order(curved, &x).unwrap().assert_passed();
}

proptest! {
    #![proptest_config(config(256))]

    /// Values and gradients are the formula's in both dtypes and however the input lies.
    #[test]
    fn the_formula(line in geometry::<1>(), plane in geometry::<2>(), volume in geometry::<3>(), layout in layouts()) {
        is_the_formula(interpolate1d, &line, layout)?;
        is_the_formula(interpolate2d, &plane, layout)?;
        is_the_formula(interpolate3d, &volume, layout)?;
    }

    /// Nearest copies, bit for bit.
    #[test]
    fn a_copy_keeps_its_bits(g in geometry::<2>(), exact in any::<bool>()) {
        let x = (reals(&g.shape(), 4) * -0.).unwrap();
        let y = interpolate2d(&x, g.resize, if exact { NearestExact } else { Nearest }).unwrap();
        let signs: Vec<bool> = values(&x).iter().map(|x| x.is_sign_negative()).collect();
        prop_assert!(signs.is_empty() || values(&y).iter().all(|y| *y == 0.));
        let one = interpolate2d(&x, g.extents, Nearest).unwrap();
        prop_assert!(values(&one).iter().zip(signs).all(|(y, negative)| y.is_sign_negative() == negative));
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn gradients(line in geometry::<1>(), plane in geometry::<2>()) {
        has_right_gradients(interpolate1d, &line);
        has_right_gradients(interpolate2d, &plane);
    }
}

#[test]
fn gradients_of_a_volume() {
    for mode in [Nearest, NearestExact, Linear { align_corners: true }, Linear { align_corners: false }] {
        let (lead, extents, resize) = (vec![2, 1], [2, 1, 4], Resize::Size([3, 2, 2]));
        has_right_gradients(interpolate3d, &Geometry { lead, extents, resize, mode });
    }
}

#[test]
fn an_axis_of_one_element_is_repeated_and_one_position_is_a_sample() {
    let x = Tensor::new(&[[[3f64], [5.]]], &Device::Cpu).unwrap();
    for mode in
        [Nearest, Linear { align_corners: true }, Linear { align_corners: false }, Bicubic { align_corners: true }]
    {
        assert_eq!(values(&interpolate2d(&x, [2, 3], mode).unwrap()), [3., 3., 3., 5., 5., 5.], "{mode:?}");
    }
    assert_eq!(values(&interpolate2d(&x, [1, 1], Linear { align_corners: true }).unwrap()), [3.]);
    assert_eq!(values(&interpolate2d(&x, [1, 1], Linear { align_corners: false }).unwrap()), [4.]);
}

/// The reference's float32 coordinates take the element before in 11 of the pairs of extents below 60.
#[test]
fn nearest_is_exact_in_float32() {
    for (input, output) in (1..60).flat_map(|input| (1..60).map(move |output| (input, output))) {
        let x = Tensor::arange(0f32, input as f32, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let exact: Vec<f64> = (0..output).map(|i| (i * input / output) as f64).collect();
        assert_eq!(values(&interpolate1d(&x, [output], Nearest).unwrap()), exact, "{input} to {output}");
    }
}

#[test]
fn gradients_of_two_consumers_add_up() {
    let x = Var::from_tensor(&reals(&[2, 3, 4, 5], 5)).unwrap();
    let loss = |y: Tensor| y.sqr().unwrap().sum_all().unwrap();
    let one = || loss(interpolate2d(&x, 2., Nearest).unwrap());
    let other = || loss(interpolate2d(&x, [3, 7], Bicubic { align_corners: false }).unwrap());
    let grad = |loss: Tensor| values(loss.backward().unwrap().get(&x).unwrap());
    let sum: Vec<f64> = grad(one()).iter().zip(grad(other())).map(|(a, b)| a + b).collect();
    let both = grad((one() + other()).unwrap());
    assert!(both.iter().zip(&sum).all(|(a, b)| (a - b).abs() <= 1e-12 * (1. + b.abs())));
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5, 7), DType::F32, &Device::Cpu).unwrap();
    let y = interpolate2d(&x, [0.5, 2.], Linear { align_corners: false }).unwrap();
    assert_eq!(y.dims(), [0, 3, 2, 14]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5, 7]);
}

#[test]
fn half_precision_rounds_once() {
    for mode in [Nearest, NearestExact, Linear { align_corners: false }, Bicubic { align_corners: true }] {
        halves_round_once(|x| interpolate2d(&x[0], [7, 3], mode).unwrap(), &[reals(&[2, 3, 5, 4], 6)]);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = Var::from_tensor(&reals(&[3, 10, 37, 41], 7).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = interpolate2d(&x, [1.5, 2.], Bicubic { align_corners: false }).unwrap();
        let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
        vec![y, dx]
    });
}

#[test]
fn the_gradient_stops_at_an_untracked_input() {
    assert!(!interpolate2d(&integers(&[2, 3, 4, 5], 1), 2., Nearest).unwrap().track_op());
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let x = zeros(&[2, 3, 6, 7]);
    type Is = fn(&Error) -> bool;
    let rank: Is = |e| matches!(e, Error::Rank { argument: "input", .. });
    let positive: Is = |e| matches!(e, Error::NotPositive { .. });
    let value: Is = |e| matches!(e, Error::Value { argument: "scale_factor", .. });
    let overflow: Is = |e| matches!(e, Error::Overflow { .. });
    let dtype: Is = |e| matches!(e, Error::DType { dtype: DType::U8, .. });
    let cases = [
        (zeros(&[6, 7]), Resize::Size([2, 3]), rank, "input must have 3 or 4 dimensions, got shape [6, 7]"),
        (
            zeros(&[2, 3, 0, 7]),
            [2, 3].into(),
            positive,
            "every extent of a plane of the input must be positive, got [0, 7]",
        ),
        (x.clone(), [2, 0].into(), positive, "the output size must be positive, got [2, 0]"),
        (x.clone(), [0.5, 0.1].into(), positive, "the output size must be positive, got [3, 0]"),
        (x.clone(), [2., -0.5].into(), value, "scale_factor must be positive and finite, got -0.5"),
        (x.clone(), [f64::NAN, 2.].into(), value, "scale_factor must be positive and finite, got NaN"),
        (x.clone(), [f64::INFINITY, 2.].into(), value, "scale_factor must be positive and finite, got inf"),
        (x.clone(), [1e30, 1.].into(), overflow, "the size of the output overflows; use smaller extents"),
        (zeros(&[0, 3, 6, 7]), [1, usize::MAX / 2].into(), overflow, "the size of the output overflows"),
        (
            x.to_dtype(DType::U8).unwrap(),
            2.0.into(),
            dtype,
            "dtype U8 is not supported, convert to one of bf16, f16, f32, f64",
        ),
    ];
    for (x, resize, is, message) in cases {
        let error = interpolate2d(&x, resize, Linear { align_corners: false }).unwrap_err();
        assert!(is(&error), "{message}: {error:?}");
        assert!(error.to_string().starts_with("interpolate2d: ") && error.to_string().contains(message), "{error}");
    }
    let error = interpolate3d(&zeros(&[2, 3, 4, 5, 6]), 2., Bicubic { align_corners: false }).unwrap_err();
    assert!(matches!(error, Error::BicubicAxes { axes: 3, .. }));
    assert_eq!(
        error.to_string(),
        "interpolate3d: bicubic interpolation runs over two axes, not 3; use linear interpolation"
    );
}
