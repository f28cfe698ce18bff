//! Convolution's derivatives of both orders against finite differences, float32 against float64, and planted faults refused.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};
use taper_gradcheck::strategies::{ConvFault, ConvGeometry, FaultyConv, conv_geometry, faulty_conv, reals};
use taper_gradcheck::{GradCheck, Shift, strategies::Fill};
use taper_ops::{ConvSpec, Error, Result, conv1d, conv2d, conv2d_input_grad, conv2d_weight_grad, conv3d};

type Conv<const D: usize> = fn(&Tensor, &Tensor, Option<&Tensor>, &ConvSpec<D>) -> Result<Tensor>;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(20_261_124), ..ProptestConfig::default() }
}

fn spec<const D: usize>(g: &ConvGeometry<D>) -> ConvSpec<D> {
    ConvSpec::default().stride(g.stride).padding(g.padding).dilation(g.dilation).groups(g.groups)
}

/// Input, weight and, where there is one, bias.
fn inputs<const D: usize>(g: &ConvGeometry<D>, fill: Fill) -> Vec<Tensor> {
    let shapes = [Some(g.input_shape()), Some(g.weight_shape()), g.bias_shape()];
    let seeds = [fill.seed, !fill.seed, fill.seed ^ 0xB1A5];
    let drawn = shapes.into_iter().zip(seeds).filter_map(|(shape, seed)| Some((shape?, seed)));
    drawn.map(|(shape, seed)| Fill { seed, ..fill }.tensor(&shape, DType::F64).unwrap()).collect()
}

fn check(inputs: &[Tensor]) -> GradCheck {
    let names = ["x", "weight", "bias"];
    GradCheck::new("conv").input_names(names).linear_in(0..inputs.len()).forbid_wasted_gradients()
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn gradients(g in conv_geometry::<2>(), fill in reals()) {
        let (spec, inputs) = (spec(&g), inputs(&g, fill));
        let conv = |x: &[Tensor]| conv2d(&x[0], &x[1], x.get(2), &spec);
        check(&inputs).check(conv, &inputs).unwrap().assert_passed();
        check(&inputs).check_second_order(conv, &inputs).unwrap().assert_passed();
    }

    /// The two gradients are operators too, with derivatives of their own.
    #[test]
    fn gradients_of_the_gradients(g in conv_geometry::<2>(), fill in reals()) {
        let spec = spec(&g);
        let tensor = |shape: &[usize], seed| Fill { seed, ..fill }.tensor(shape, DType::F64).unwrap();
        let (x, w) = (tensor(&g.input_shape(), 1), tensor(&g.weight_shape(), 2));
        let dy = tensor(&g.output_shape(), 3);
        let both = |name: &str| GradCheck::new(name).linear_in([0, 1]).forbid_wasted_gradients().directions(2);
        let dx = |a: &[Tensor]| conv2d_input_grad(&a[0], &a[1], g.input, &spec);
        both("conv2d_input_grad").check(dx, &[dy.clone(), w]).unwrap().assert_passed();
        let dw = |a: &[Tensor]| conv2d_weight_grad(&a[0], &a[1], g.kernel, &spec);
        both("conv2d_weight_grad").check(dw, &[x, dy]).unwrap().assert_passed();
    }

    #[test]
    fn float32_is_float64_rounded_and_samples_are_apart(g in conv_geometry::<2>(), fill in reals()) {
        let (spec, inputs) = (spec(&g), inputs(&g, fill));
        let conv = |x: &[Tensor]| conv2d(&x[0], &x[1], x.get(2), &spec);
        check(&inputs).check_float32(conv, &inputs).unwrap().assert_passed();
        check(&inputs).batch_invariance(conv, &inputs, &[0]).unwrap().assert_passed();
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn gradients_of_conv1d(g in conv_geometry::<1>(), fill in reals()) {
        let (spec, inputs) = (spec(&g), inputs(&g, fill));
        let conv = |x: &[Tensor]| conv1d(&x[0], &x[1], x.get(2), &spec);
        check(&inputs).check(conv, &inputs).unwrap().assert_passed();
        check(&inputs).check_second_order(conv, &inputs).unwrap().assert_passed();
    }

    /// A volume has too many elements to take one after another.
    #[test]
    fn gradients_of_conv3d(g in conv_geometry::<3>(), fill in reals()) {
        let (spec, inputs) = (spec(&g), inputs(&g, fill));
        let conv = |x: &[Tensor]| conv3d(&x[0], &x[1], x.get(2), &spec);
        check(&inputs).directions(3).check(conv, &inputs).unwrap().assert_passed();
        check(&inputs).directions(2).check_second_order(conv, &inputs).unwrap().assert_passed();
        check(&inputs).check_float32(conv, &inputs).unwrap().assert_passed();
    }
}

fn is_refused<const D: usize>(op: Conv<D>, conv: FaultyConv<D>) -> Result<(), TestCaseError> {
    let FaultyConv { fault, input_shape, weight_shape, bias_shape, groups, stride, dilation, padding } = conv;
    let zeros = |shape: Vec<usize>| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let spec = ConvSpec::default().stride(stride).padding(padding).dilation(dilation).groups(groups);
    let bias = bias_shape.map(zeros);
    let error = op(&zeros(input_shape), &zeros(weight_shape), bias.as_ref(), &spec).unwrap_err();
    let named = match fault {
        ConvFault::ZeroStride => matches!(error, Error::NotPositive { argument: "stride", .. }),
        ConvFault::ZeroDilation => matches!(error, Error::NotPositive { argument: "dilation", .. }),
        ConvFault::ZeroGroups => matches!(error, Error::NotPositive { argument: "groups", .. }),
        ConvFault::ZeroKernel => matches!(error, Error::NotPositive { .. }),
        ConvFault::GroupsOverOutChannels => matches!(error, Error::Groups { argument: "out_channels", .. }),
        ConvFault::InputChannels => matches!(error, Error::Channels { .. }),
        ConvFault::KernelTooLarge => matches!(error, Error::KernelTooLarge { .. }),
        ConvFault::BiasLength => matches!(error, Error::Shape { argument: "bias", .. }),
        _ => false,
    };
    prop_assert!(named, "{fault:?}: {error}");
    Ok(())
}

proptest! {
    #![proptest_config(config(256))]

    /// Whatever is wrong, on whichever axis, the error says so.
    #[test]
    fn faults_are_refused(line in faulty_conv::<1>(), plane in faulty_conv::<2>(), volume in faulty_conv::<3>()) {
        is_refused(conv1d, line)?;
        is_refused(conv2d, plane)?;
        is_refused(conv3d, volume)?;
    }
}

#[test]
fn a_shifted_input_gives_the_shifted_output() {
    let g = ConvGeometry {
        batch: 2,
        groups: 1,
        in_channels: 2,
        out_channels: 3,
        input: [19, 23],
        kernel: [3, 2],
        stride: [2, 3],
        dilation: [1, 2],
        padding: [(1, 0), (2, 1)],
        bias: true,
    };
    let (spec, inputs) = (spec(&g), inputs(&g, Fill { kind: taper_gradcheck::strategies::Kind::Reals, seed: 4 }));
    let conv = |x: &[Tensor]| conv2d(&x[0], &x[1], x.get(2), &spec);
    for shift in [
        Shift { input: 0, axis: 2, by: 4, moves: 2, border: 2 },
        Shift { input: 0, axis: 3, by: 3, moves: 1, border: 2 },
    ] {
        check(&inputs).shift_equivariance(conv, &inputs, shift).unwrap().assert_passed();
    }
}

/// What an element-wise check is too slow for takes a handful of directions.
#[test]
fn a_large_convolution_along_directions() {
    let g = ConvGeometry {
        batch: 8,
        groups: 1,
        in_channels: 16,
        out_channels: 12,
        input: [32, 31],
        kernel: [3, 5],
        stride: [1, 2],
        dilation: [1, 1],
        padding: [(1, 1), (2, 1)],
        bias: true,
    };
    let (spec, inputs) = (spec(&g), inputs(&g, Fill { kind: taper_gradcheck::strategies::Kind::Reals, seed: 5 }));
    let conv = |x: &[Tensor]| conv2d(&x[0], &x[1], x.get(2), &spec);
    check(&inputs).directions(2).check(conv, &inputs).unwrap().assert_passed();
}
