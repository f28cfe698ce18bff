//! conv1d and conv3d against the formula, against conv2d with axes of extent 1, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use support::config;
use support::convolution::{conv, spec};
use support::layouts::{integers, same_on_any_threads, scattered, turned, values};
use taper_gradcheck::strategies::{ConvGeometry, conv_geometry};
use taper_ops::{ConvSpec, Error, Padding, Result, conv1d, conv2d, conv3d};

type Conv<const D: usize> = fn(&Tensor, &Tensor, Option<&Tensor>, &ConvSpec<D>) -> Result<Tensor>;

fn is_the_formula<const D: usize>(op: Conv<D>, g: &ConvGeometry<D>) -> Result<(), TestCaseError> {
    let (x, w) = (integers(&g.input_shape(), 1), integers(&g.weight_shape(), 2));
    let expected = conv(g, &values(&x), &values(&w));
    for dtype in [DType::F32, DType::F64] {
        let (x, w) = (x.to_dtype(dtype).unwrap(), w.to_dtype(dtype).unwrap());
        let y = op(&x, &w, None, &spec(g)).unwrap();
        prop_assert_eq!(y.dims(), g.output_shape());
        prop_assert_eq!(values(&y), expected.clone());
        prop_assert_eq!(values(&op(&scattered(&x), &turned(&w), None, &spec(g)).unwrap()), expected.clone());
    }
    // The bias counts its channel, and one sample needs no batch axis.
    let b = integers(&[g.out_channels], 3);
    let y = op(&x, &w, Some(&b), &spec(g)).unwrap();
    let plane = g.output_shape()[2..].iter().product::<usize>();
    let biases = (0..expected.len()).map(|i| values(&b)[i / plane % g.out_channels]);
    prop_assert_eq!(values(&y), expected.iter().zip(biases).map(|(y, b)| y + b).collect::<Vec<_>>());
    let one = op(&x.get(0).unwrap(), &w, Some(&b), &spec(g)).unwrap();
    prop_assert_eq!(one.dims(), &g.output_shape()[1..]);
    prop_assert_eq!(values(&one), values(&y.get(0).unwrap()));
    Ok(())
}

/// The value and the three gradients of `op`, as lists.
fn with_gradients(op: impl Fn(&[Var]) -> Tensor, inputs: &[Tensor], v: &Tensor) -> Vec<Vec<f64>> {
    let inputs: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let y = op(&inputs);
    let grads = (&y * v.reshape(y.shape()).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = inputs.iter().map(|input| values(grads.get(input).unwrap()));
    std::iter::once(values(&y)).chain(grads).collect()
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn conv1d_is_the_formula(g in conv_geometry::<1>()) {
        is_the_formula(conv1d, &g)?;
    }

    #[test]
    fn conv1d_is_conv2d_with_a_unit_axis(g in conv_geometry::<1>()) {
        let inputs = [integers(&g.input_shape(), 1), integers(&g.weight_shape(), 2), integers(&[g.out_channels], 3)];
        let v = integers(&g.output_shape(), 4);
        let line = with_gradients(|a| conv1d(&a[0], &a[1], Some(&a[2]), &spec(&g)).unwrap(), &inputs, &v);
        let wide = ConvSpec::<2>::default()
            .stride([1, g.stride[0]])
            .padding([(0, 0), g.padding[0]])
            .dilation([1, g.dilation[0]])
            .groups(g.groups);
        let conv = |a: &[Var]| {
            let (x, w) = (a[0].unsqueeze(2).unwrap(), a[1].unsqueeze(2).unwrap());
            conv2d(&x, &w, Some(&a[2]), &wide).unwrap()
        };
        prop_assert_eq!(line, with_gradients(conv, &inputs, &v));
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn conv3d_is_the_formula(g in conv_geometry::<3>()) {
        is_the_formula(conv3d, &g)?;
    }

    #[test]
    fn conv2d_is_conv3d_with_a_unit_axis(g in conv_geometry::<2>()) {
        let inputs = [integers(&g.input_shape(), 1), integers(&g.weight_shape(), 2), integers(&[g.out_channels], 3)];
        let v = integers(&g.output_shape(), 4);
        let flat = with_gradients(|a| conv2d(&a[0], &a[1], Some(&a[2]), &spec(&g)).unwrap(), &inputs, &v);
        // The unit axis last, so that no axis keeps its place.
        let ([(top, bottom), (left, right)], [s_h, s_w], [d_h, d_w]) = (g.padding, g.stride, g.dilation);
        let deep = ConvSpec::<3>::default()
            .stride([s_h, s_w, 1])
            .padding([(top, bottom), (left, right), (0, 0)])
            .dilation([d_h, d_w, 1])
            .groups(g.groups);
        let conv = |a: &[Var]| {
            let (x, w) = (a[0].unsqueeze(4).unwrap(), a[1].unsqueeze(4).unwrap());
            conv3d(&x, &w, Some(&a[2]), &deep).unwrap()
        };
        prop_assert_eq!(flat, with_gradients(conv, &inputs, &v));
    }
}

#[test]
fn same_with_an_even_kernel_puts_the_odd_zero_after() {
    let x = Tensor::new(&[[[1f64, 2., 3., 4., 5.], [10., 20., 30., 40., 50.]]], &Device::Cpu).unwrap();
    let w = Tensor::new(&[[[1f64, 10.], [0., 1.]]], &Device::Cpu).unwrap();
    let spec = ConvSpec::default().padding(Padding::Same);
    let y = conv1d(&x, &w, None, &spec).unwrap();
    assert_eq!(values(&y), [41., 62., 83., 104., 5.]);
    // A dilation makes the total even again: one zero on either side.
    let y = conv1d(&x, &w, None, &spec.dilation(2)).unwrap();
    assert_eq!(values(&y), [40., 61., 82., 103., 4.]);
}

#[test]
fn conv3d_with_kernel_1_2_5_same_and_dilation_2() {
    let g = ConvGeometry {
        batch: 2,
        groups: 1,
        in_channels: 3,
        out_channels: 2,
        input: [3, 4, 6],
        kernel: [1, 2, 5],
        stride: [1, 1, 1],
        dilation: [2, 2, 2],
        padding: [(0, 0), (1, 1), (4, 4)],
        bias: false,
    };
    let (x, w) = (integers(&g.input_shape(), 1), integers(&g.weight_shape(), 2));
    let y = conv3d(&x, &w, None, &ConvSpec::default().padding(Padding::Same).dilation(2)).unwrap();
    assert_eq!(y.dims(), [2, 2, 3, 4, 6]);
    assert_eq!(values(&y), conv(&g, &values(&x), &values(&w)));
}

#[test]
fn depthwise_with_multiplier_2() {
    let g = ConvGeometry {
        batch: 2,
        groups: 3,
        in_channels: 3,
        out_channels: 6,
        input: [11],
        kernel: [4],
        stride: [2],
        dilation: [1],
        padding: [(2, 1)],
        bias: false,
    };
    let (x, w) = (integers(&g.input_shape(), 1), integers(&g.weight_shape(), 2));
    assert_eq!(values(&conv1d(&x, &w, None, &spec(&g)).unwrap()), conv(&g, &values(&x), &values(&w)));
}

#[test]
fn nothing_in_nothing_out() {
    let x = Var::zeros((0, 3, 4, 5, 6), DType::F32, &Device::Cpu).unwrap();
    let w = Var::ones((2, 3, 3, 2, 1), DType::F32, &Device::Cpu).unwrap();
    let y = conv3d(&x, &w, None, &ConvSpec::default()).unwrap();
    assert_eq!(y.dims(), [0, 2, 2, 4, 6]);
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().dims(), [0, 3, 4, 5, 6]);
    assert_eq!(values(grads.get(&w).unwrap()), [0.; 36]);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let random = |shape: &[usize]| Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap();
    let (x, w) = (random(&[3, 6, 9, 11, 13]), random(&[8, 6, 2, 3, 5]));
    same_on_any_threads(|| vec![conv3d(&x, &w, None, &ConvSpec::default().padding([1, 0, 2])).unwrap()]);
}

#[test]
fn refusals_name_the_operator_and_the_values() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let line = |x: &[usize], w: &[usize], spec: ConvSpec<1>| {
        conv1d(&zeros(x), &zeros(w), None, &spec).unwrap_err().to_string()
    };
    let solid = |x: &[usize], w: &[usize], spec: ConvSpec<3>| {
        conv3d(&zeros(x), &zeros(w), None, &spec).unwrap_err().to_string()
    };
    assert_eq!(
        line(&[1, 2, 3, 5], &[4, 3, 3], ConvSpec::default()),
        "conv1d: input must have 2 or 3 dimensions, got shape [1, 2, 3, 5]"
    );
    assert_eq!(
        line(&[2, 3, 5], &[4, 3, 3, 2], ConvSpec::default()),
        "conv1d: weight must have 3 dimensions, got shape [4, 3, 3, 2]"
    );
    assert_eq!(
        solid(&[3, 4, 5], &[4, 3, 3, 2, 1], ConvSpec::default()),
        "conv3d: input must have 4 or 5 dimensions, got shape [3, 4, 5]"
    );
    assert_eq!(
        solid(&[2, 3, 4, 5, 6], &[4, 3, 3, 2, 1], ConvSpec::default().dilation([1, 0, 2])),
        "conv3d: dilation must be positive, got [1, 0, 2]"
    );
    assert_eq!(
        solid(&[2, 3, 4, 5, 6], &[4, 3, 3, 2, 1], ConvSpec::default().dilation([2, 1, 1])),
        "conv3d: the kernel spans [5, 2, 1] (dilation counted) but the padded input is only [4, 5, 6]; \
         pad more, or use a smaller kernel or dilation"
    );
    for spec in [ConvSpec::default().dilation(usize::MAX / 2), ConvSpec::default().padding(1 << 20)] {
        assert!(solid(&[2, 3, 4, 5, 6], &[4, 3, 3, 4, 7], spec).contains("overflows"));
    }
    let (x, w) = (zeros(&[2, 3, 5]), zeros(&[4, 3, 2]));
    let error = conv1d(&x, &w, Some(&zeros(&[3])), &ConvSpec::default()).unwrap_err();
    assert_eq!(error.to_string(), "conv1d: bias must have shape [4], got [3]");
    let error = conv1d(&x, &w.to_dtype(DType::F64).unwrap(), None, &ConvSpec::default()).unwrap_err();
    assert!(matches!(error, Error::DTypeMismatch { op: "conv1d", left: DType::F32, right: DType::F64 }));
}
