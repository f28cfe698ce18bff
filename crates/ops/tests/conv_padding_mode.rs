//! Convolution over padding other than zeros against the reference's vectors, padding and convolution one after the other,
//! and finite differences; and the gradients of convolution as functions, over every rank and mode.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use support::config;
use support::layouts::{integers, reals, values};
use support::{Case, Count, convolution};
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::{ConvGeometry, conv_geometry};
use taper_ops::{
    ConvSpec, Error, PadMode, Padding, Result, conv1d, conv1d_input_grad, conv1d_weight_grad, conv2d,
    conv2d_input_grad, conv2d_weight_grad, conv3d, conv3d_input_grad, conv3d_weight_grad, pad1d, pad2d, pad3d,
};

type Pad<const D: usize> = fn(&Tensor, [(usize, usize); D], PadMode) -> Result<Tensor>;
type Gradient<const D: usize> = fn(&Tensor, &Tensor, [usize; D], &ConvSpec<D>) -> Result<Tensor>;

/// The functions of one rank.
struct Ops<const D: usize> {
    conv: fn(&Tensor, &Tensor, Option<&Tensor>, &ConvSpec<D>) -> Result<Tensor>,
    input_grad: Gradient<D>,
    weight_grad: Gradient<D>,
    pad: Pad<D>,
}

const ONE: Ops<1> = Ops {
    conv: conv1d,
    input_grad: conv1d_input_grad,
    weight_grad: conv1d_weight_grad,
    pad: |x, [padding], mode| pad1d(x, padding, mode),
};
const TWO: Ops<2> = Ops { conv: conv2d, input_grad: conv2d_input_grad, weight_grad: conv2d_weight_grad, pad: pad2d };
const THREE: Ops<3> = Ops { conv: conv3d, input_grad: conv3d_input_grad, weight_grad: conv3d_weight_grad, pad: pad3d };

const MODES: [PadMode; 5] =
    [PadMode::Constant(0.), PadMode::Constant(1.5), PadMode::Reflect, PadMode::Replicate, PadMode::Circular];

fn spec_of<const D: usize>(case: &Case) -> ConvSpec<D> {
    let mode = match case.kwargs["padding_mode"].as_str().unwrap() {
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        mode => panic!("{}: {mode}", case.id),
    };
    let padding = match case.kwargs["padding"].as_str() {
        Some("same") => Padding::Same,
        _ => case.axes::<D>("padding").unwrap().into(),
    };
    let spec = ConvSpec::default().padding(padding).padding_mode(mode);
    let spec = spec.stride(case.axes::<D>("stride").unwrap()).dilation(case.axes::<D>("dilation").unwrap());
    spec.groups(case.kwargs["groups"].as_u64().unwrap() as usize)
}

#[test]
fn golden() {
    let count = support::check(
        "conv_padding_mode",
        |_| true,
        |case, inputs| {
            let (x, w, b) = (&inputs["input"], &inputs["weight"], Some(&inputs["bias"]));
            let y = match x.rank() {
                3 => conv1d(x, w, b, &spec_of(case)),
                4 => conv2d(x, w, b, &spec_of(case)),
                _ => conv3d(x, w, b, &spec_of(case)),
            };
            y.map(|y| Some(vec![y]))
        },
        |case, error| {
            assert!(matches!(error, Error::PaddingTooLarge { mode: "reflect", padding: (4, 4), .. }), "{}", case.id);
            assert!(error.to_string().starts_with("conv1d: "), "{error}");
        },
    );
    assert_eq!(count, Count { passed: 24, refused: 1 });
}

/// A geometry whose padding the mode has elements for.
fn within<const D: usize>(mut g: ConvGeometry<D>, mode: PadMode) -> ConvGeometry<D> {
    for axis in 0..D {
        let (before, after) = g.padding[axis];
        let least = match mode {
            PadMode::Reflect => before.max(after) + 1,
            PadMode::Circular => before.max(after),
            PadMode::Constant(_) | PadMode::Replicate => 1,
        };
        g.input[axis] = g.input[axis].max(least);
    }
    g
}

/// One after the other, every bit: values, the gradients that candle takes, and those of the functions.
fn is_its_parts<const D: usize>(ops: &Ops<D>, g: ConvGeometry<D>, mode: PadMode) -> Result<(), TestCaseError> {
    let g = within(g, mode);
    let zeros = convolution::spec(&g);
    let spec = zeros.padding_mode(mode);
    let x = Var::from_tensor(&integers(&g.input_shape(), 1)).unwrap();
    let w = Var::from_tensor(&integers(&g.weight_shape(), 2)).unwrap();
    let bias = g.bias_shape().map(|shape| integers(&shape, 3));
    let y = (ops.conv)(&x, &w, bias.as_ref(), &spec).unwrap();
    let padded = (ops.pad)(&x, g.padding, mode).unwrap();
    let parts = (ops.conv)(&padded, &w, bias.as_ref(), &zeros.padding(0)).unwrap();
    prop_assert_eq!(values(&y), values(&parts));
    let dy = integers(y.dims(), 4);
    let grads = |y: &Tensor| {
        let grads = (y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        [&x, &w].map(|var| values(grads.get(var).unwrap()))
    };
    prop_assert_eq!(grads(&y), grads(&parts));
    let dx = (ops.input_grad)(&dy, &w, g.input, &spec).unwrap();
    let dw = (ops.weight_grad)(&x, &dy, g.kernel, &spec).unwrap();
    prop_assert_eq!([values(&dx), values(&dw)], grads(&y));
    Ok(())
}

fn has_right_gradients<const D: usize>(ops: &Ops<D>, g: ConvGeometry<D>, mode: PadMode) {
    let g = within(g, mode);
    let spec = convolution::spec(&g).padding_mode(mode);
    let (x, w) = (reals(&g.input_shape(), 5), reals(&g.weight_shape(), 6));
    let dy = reals(&g.output_shape(), 7);
    let check = GradCheck::new("conv").forbid_wasted_gradients().directions(3);
    let conv = |t: &[Tensor]| (ops.conv)(&t[0], &t[1], None, &spec);
    check.check(conv, &[x.clone(), w.clone()]).unwrap().assert_passed();
    check.check_second_order(conv, &[x.clone(), w.clone()]).unwrap().assert_passed();
    let input_grad = |t: &[Tensor]| (ops.input_grad)(&t[0], &t[1], g.input, &spec);
    check.check(input_grad, &[dy.clone(), w]).unwrap().assert_passed();
    let weight_grad = |t: &[Tensor]| (ops.weight_grad)(&t[0], &t[1], g.kernel, &spec);
    check.check(weight_grad, &[x, dy]).unwrap().assert_passed();
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn padding_then_convolution(
        line in conv_geometry::<1>(),
        plane in conv_geometry::<2>(),
        volume in conv_geometry::<3>(),
        mode in select(MODES.as_slice()),
    ) {
        is_its_parts(&ONE, line, mode)?;
        is_its_parts(&TWO, plane, mode)?;
        is_its_parts(&THREE, volume, mode)?;
    }
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn gradients(
        line in conv_geometry::<1>(),
        plane in conv_geometry::<2>(),
        volume in conv_geometry::<3>(),
        mode in select(MODES.as_slice()),
    ) {
        has_right_gradients(&ONE, line, mode);
        has_right_gradients(&TWO, plane, mode);
        has_right_gradients(&THREE, volume, mode);
    }
}

#[test]
fn same_keeps_the_extent_in_every_mode() {
    let (x, w) = (integers(&[2, 3, 6, 7], 1), integers(&[4, 3, 2, 3], 2));
    for mode in MODES {
        let spec = ConvSpec::default().padding(Padding::Same).padding_mode(mode).dilation([1, 2]);
        let y = conv2d(&x, &w, None, &spec).unwrap();
        assert_eq!(y.dims(), [2, 4, 6, 7]);
        // An even kernel's odd row lies after.
        let padded = pad2d(&x, [(0, 1), (2, 2)], mode).unwrap();
        let parts = conv2d(&padded, &w, None, &ConvSpec::default().dilation([1, 2])).unwrap();
        assert_eq!(values(&y), values(&parts));
    }
}

#[test]
fn without_a_batch_axis_and_without_samples() {
    let (x, w) = (integers(&[3, 5, 6], 1), integers(&[4, 3, 3, 2], 2));
    let spec = ConvSpec::default().padding([2, 1]).padding_mode(PadMode::Circular);
    let y = conv2d(&x, &w, None, &spec).unwrap();
    assert_eq!(values(&y), values(&conv2d(&x.unsqueeze(0).unwrap(), &w, None, &spec).unwrap()));
    let none = Tensor::zeros((0, 3, 5, 6), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(conv2d(&none, &w, None, &spec).unwrap().dims(), [0, 4, 7, 7]);
}

#[test]
fn half_precision_rounds_once() {
    let spec = ConvSpec::default().padding([2, 1]).padding_mode(PadMode::Reflect);
    let (x, w) = (reals(&[2, 3, 5, 4], 8), reals(&[4, 3, 3, 2], 9));
    // The input's gradient is rounded at the padding and again behind it, so only the value is held.
    let half = |t: &Tensor| t.to_dtype(DType::BF16).unwrap();
    let y = conv2d(&half(&x), &half(&w), None, &spec).unwrap();
    let single = |t: &Tensor| half(t).to_dtype(DType::F32).unwrap();
    let expected = conv2d(&single(&x), &single(&w), None, &spec).unwrap().to_dtype(DType::BF16).unwrap();
    assert_eq!(values(&y), values(&expected));
}

#[test]
fn refusals_name_the_values() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, w) = (zeros(&[2, 3, 5, 6]), zeros(&[4, 3, 3, 2]));
    let spec = ConvSpec::default().padding([5, 1]).padding_mode(PadMode::Reflect);
    let error = conv2d(&x, &w, None, &spec).unwrap_err();
    assert!(matches!(error, Error::PaddingTooLarge { limit: 4, extent: 5, .. }));
    assert_eq!(error.to_string(), "conv2d: reflect padding (5, 5) may be at most 4 on an axis of extent 5; pad less");
    // What is wrong with the convolution itself is said first.
    let error = conv2d(&x, &w, None, &spec.groups(2)).unwrap_err();
    assert!(matches!(error, Error::Groups { .. }), "{error}");
    let error = conv2d_weight_grad(&x, &zeros(&[2, 4, 13, 6]), [3, 2], &spec).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "dy", .. }), "{error}");
    let error = conv1d_input_grad(&zeros(&[2, 3, 5, 6]), &zeros(&[4, 3, 2]), [5], &ConvSpec::default()).unwrap_err();
    assert_eq!(error.to_string(), "conv1d_input_grad: dy must have 3 dimensions, got shape [2, 3, 5, 6]");
    let error = conv3d_weight_grad(&x, &zeros(&[2, 4, 5, 6, 7]), [1, 2, 3], &ConvSpec::default()).unwrap_err();
    assert_eq!(error.to_string(), "conv3d_weight_grad: input must have 5 dimensions, got shape [2, 3, 5, 6]");
}
