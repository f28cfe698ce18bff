//! Transposed convolution against its formula, against the convolution that it transposes, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use support::config;
use support::convolution::{TransposeGeometry, transpose_geometry};
use support::layouts::{integers, same_on_any_threads, scattered, turned, values};
use taper_ops::{ConvSpec, ConvTransposeSpec, Error, Result, conv_transpose1d, conv_transpose2d, conv_transpose3d};
use taper_ops::{conv1d, conv2d, conv2d_input_grad, conv3d};

type Conv<const D: usize> = fn(&Tensor, &Tensor, Option<&Tensor>, &ConvSpec<D>) -> Result<Tensor>;
type ConvTranspose<const D: usize> = fn(&Tensor, &Tensor, Option<&Tensor>, &ConvTransposeSpec<D>) -> Result<Tensor>;

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

fn is_the_formula<const D: usize>(op: ConvTranspose<D>, g: &TransposeGeometry<D>) -> Result<(), TestCaseError> {
    let (x, w) = (integers(&g.x(), 1), integers(&g.weight(), 2));
    let expected = g.naive(&values(&x), &values(&w));
    for dtype in [DType::F32, DType::F64] {
        let (x, w) = (x.to_dtype(dtype).unwrap(), w.to_dtype(dtype).unwrap());
        let y = op(&x, &w, None, &g.spec()).unwrap();
        prop_assert_eq!(y.dims(), g.y());
        prop_assert_eq!(values(&y), expected.clone());
        prop_assert_eq!(values(&op(&scattered(&x), &turned(&w), None, &g.spec()).unwrap()), expected.clone());
    }
    // The bias counts its channel, and one sample needs no batch axis.
    let channels = g.y()[1];
    let b = integers(&[channels], 3);
    let y = op(&x, &w, Some(&b), &g.spec()).unwrap();
    let plane: usize = g.output().iter().product();
    let biases = (0..expected.len()).map(|i| values(&b)[i / plane % channels]);
    prop_assert_eq!(values(&y), expected.iter().zip(biases).map(|(y, b)| y + b).collect::<Vec<_>>());
    let one = op(&x.get(0).unwrap(), &w, Some(&b), &g.spec()).unwrap();
    prop_assert_eq!(one.dims(), &g.y()[1..]);
    prop_assert_eq!(values(&one), values(&y.get(0).unwrap()));
    Ok(())
}

/// ⟨conv_transpose(x, w), v⟩ = ⟨x, conv(v, w)⟩, exactly on integers, and the gradients are what this says they are.
fn is_the_adjoint<const D: usize>(
    op: ConvTranspose<D>,
    conv: Conv<D>,
    g: &TransposeGeometry<D>,
) -> Result<(), TestCaseError> {
    let var = |tensor: Tensor| Var::from_tensor(&tensor).unwrap();
    let (x, w, b) = (var(integers(&g.x(), 4)), var(integers(&g.weight(), 5)), var(integers(&[g.y()[1]], 6)));
    let v = integers(&g.y(), 7);
    let y = op(&x, &w, None, &g.spec()).unwrap();
    let mut back = conv(&v, &w, None, &g.transposed()).unwrap();
    for axis in 0..D {
        // Further windows fit where the output padding is a stride or more.
        back = back.narrow(2 + axis, 0, g.input[axis]).unwrap();
    }
    prop_assert_eq!(dot(&y, &v), dot(&x, &back));
    let y_with_bias = op(&x, &w, Some(&b), &g.spec()).unwrap();
    let grads = (y_with_bias * scattered(&v)).unwrap().sum_all().unwrap().backward().unwrap();
    prop_assert_eq!(values(grads.get(&x).unwrap()), values(&back));
    prop_assert_eq!(dot(&w, grads.get(&w).unwrap()), dot(&y, &v));
    let sums = v.flatten_from(2).unwrap().sum((0, 2)).unwrap();
    prop_assert_eq!(values(grads.get(&b).unwrap()), values(&sums));
    Ok(())
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn conv_transpose1d_is_the_formula(g in transpose_geometry::<1>()) {
        is_the_formula(conv_transpose1d, &g)?;
    }

    #[test]
    fn conv_transpose2d_is_the_formula(g in transpose_geometry::<2>()) {
        is_the_formula(conv_transpose2d, &g)?;
    }

    #[test]
    fn conv_transpose3d_is_the_formula(g in transpose_geometry::<3>()) {
        is_the_formula(conv_transpose3d, &g)?;
    }

    #[test]
    fn conv_transpose1d_is_the_adjoint_of_conv1d(g in transpose_geometry::<1>()) {
        is_the_adjoint(conv_transpose1d, conv1d, &g)?;
    }

    #[test]
    fn conv_transpose2d_is_the_adjoint_of_conv2d(g in transpose_geometry::<2>()) {
        is_the_adjoint(conv_transpose2d, conv2d, &g)?;
    }

    #[test]
    fn conv_transpose3d_is_the_adjoint_of_conv3d(g in transpose_geometry::<3>()) {
        is_the_adjoint(conv_transpose3d, conv3d, &g)?;
    }
}

/// Outputs larger than a tile, pointwise kernels, one sample with many channels.
#[test]
fn large_ones_are_the_formula_on_any_threads() {
    for (groups, in_per_group, out_per_group, kernel) in [(1, 24, 40, [3, 5]), (2, 6, 10, [1, 1]), (6, 1, 2, [2, 3])] {
        let g = TransposeGeometry {
            batch: 1,
            groups,
            in_per_group,
            out_per_group,
            input: [19, 21],
            kernel,
            stride: if kernel == [1, 1] { [1, 1] } else { [2, 1] },
            padding: [0, 0],
            output_padding: [0, 0],
            dilation: [1, 1],
        };
        let (x, w) = (integers(&g.x(), 1), integers(&g.weight(), 2));
        let b = integers(&[groups * out_per_group], 3);
        let y = conv_transpose2d(&x, &w, None, &g.spec()).unwrap();
        assert_eq!(values(&y), g.naive(&values(&x), &values(&w)));
        let biased = conv_transpose2d(&x, &w, Some(&b), &g.spec()).unwrap();
        let expected = y.broadcast_add(&b.reshape((1, groups * out_per_group, 1, 1)).unwrap()).unwrap();
        assert_eq!(values(&biased), values(&expected));
        same_on_any_threads(|| vec![conv_transpose2d(&x, &w, Some(&b), &g.spec()).unwrap()]);
    }
}

#[test]
fn it_is_the_input_gradient_of_conv2d() {
    let (x, w) = (integers(&[2, 4, 3, 5], 1), integers(&[4, 3, 2, 3], 2));
    let y =
        conv_transpose2d(&x, &w, None, &ConvTransposeSpec::default().stride([2, 3]).output_padding([1, 2])).unwrap();
    let dx = conv2d_input_grad(&x, &w, [7, 17], &ConvSpec::default().stride([2, 3])).unwrap();
    assert_eq!(y.dims(), dx.dims());
    assert_eq!(values(&y), values(&dx));
}

#[test]
fn conv_transpose3d_with_stride_3_2_1_padding_1_2_3_output_padding_2_3_1_groups_2_dilation_4() {
    // The output padding of 3 is a stride of 2 and more, but less than the dilation of 4.
    let g = TransposeGeometry {
        batch: 2,
        groups: 2,
        in_per_group: 2,
        out_per_group: 3,
        input: [2, 3, 4],
        kernel: [2, 3, 3],
        stride: [3, 2, 1],
        padding: [1, 2, 3],
        output_padding: [2, 3, 1],
        dilation: [4, 4, 4],
    };
    assert_eq!(g.y(), [2, 6, 8, 12, 7]);
    is_the_formula(conv_transpose3d, &g).unwrap();
    is_the_adjoint(conv_transpose3d, conv3d, &g).unwrap();
}

#[test]
fn nothing_in_nothing_out() {
    let x = Var::zeros((0, 3, 4, 5), DType::F32, &Device::Cpu).unwrap();
    let w = Var::ones((3, 2, 3, 2), DType::F32, &Device::Cpu).unwrap();
    let b = Var::ones(2, DType::F32, &Device::Cpu).unwrap();
    let y = conv_transpose2d(&x, &w, Some(&b), &ConvTransposeSpec::default()).unwrap();
    assert_eq!(y.dims(), [0, 2, 6, 6]);
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().dims(), [0, 3, 4, 5]);
    assert_eq!(values(grads.get(&w).unwrap()), [0.; 36]);
    assert_eq!(values(grads.get(&b).unwrap()), [0.; 2]);
    // No input channels: only the bias is left. No output channels: nothing is.
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let bias = Tensor::new(&[5f32], &Device::Cpu).unwrap();
    let spec = ConvTransposeSpec::default();
    let y = conv_transpose2d(&zeros(&[2, 0, 2, 3]), &zeros(&[0, 1, 2, 1]), Some(&bias), &spec).unwrap();
    assert_eq!((y.dims(), values(&y)), ([2, 1, 3, 3].as_slice(), vec![5.; 18]));
    assert_eq!(conv_transpose2d(&zeros(&[2, 3, 2, 3]), &zeros(&[3, 0, 2, 1]), None, &spec).unwrap().elem_count(), 0);
}

#[test]
fn refusals_name_the_values() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let message = |x: &[usize], w: &[usize], spec: ConvTransposeSpec<2>| {
        conv_transpose2d(&zeros(x), &zeros(w), None, &spec).unwrap_err().to_string()
    };
    let spec = ConvTransposeSpec::default;
    let refusals: [(&[usize], &[usize], _, _); 10] = [
        (&[5, 6], &[3, 4, 3, 2], spec(), "input must have 3 or 4 dimensions, got shape [5, 6]"),
        (&[2, 3, 5, 6], &[3, 4, 3], spec(), "weight must have 4 dimensions, got shape [3, 4, 3]"),
        (&[2, 3, 5, 6], &[3, 4, 3, 2], spec().stride([1, 0]), "stride must be positive, got [1, 0]"),
        (&[2, 3, 5, 6], &[3, 4, 3, 2], spec().groups(0), "groups must be positive, got [0]"),
        (&[2, 3, 0, 6], &[3, 4, 3, 2], spec(), "input_size must be positive, got [0, 6]"),
        (&[2, 3, 5, 6], &[3, 4, 0, 2], spec(), "kernel_size must be positive, got [0, 2]"),
        (&[2, 4, 5, 6], &[4, 2, 3, 2], spec().groups(3), "groups (=3) must divide in_channels (=4)"),
        (&[2, 5, 5, 6], &[3, 4, 3, 2], spec(), "weight [3, 4, 3, 2] with groups (=1) takes 3 input channels, got 5"),
        (
            &[2, 3, 5, 6],
            &[3, 4, 3, 2],
            spec().stride([4, 2]).dilation([1, 3]).output_padding(3),
            "output_padding (=3) must be less than stride (=2) or dilation (=3)",
        ),
        (
            &[2, 3, 1, 6],
            &[3, 4, 3, 2],
            spec().padding([2, 1]),
            "padding [2, 1] on both sides leaves nothing of an output of [3, 7]; pad less",
        ),
    ];
    for (x, w, spec, expected) in refusals {
        assert_eq!(message(x, w, spec), format!("conv_transpose2d: {expected}"));
    }
    let (x, w) = ([2, 3, 5, 6], [3, 4, 3, 2]);
    for spec in [spec().dilation(usize::MAX), spec().stride(usize::MAX / 4), spec().stride(1 << 28)] {
        assert!(message(&x, &w, spec).contains("overflows"));
    }
    // Of an output of 7 a padding of 3 leaves 1, one of 4 nothing; doubling a padding must not wrap.
    let rows = |padding| conv_transpose2d(&zeros(&x), &zeros(&w), None, &spec().padding([padding, 1]));
    assert_eq!(rows(3).unwrap().dims(), [2, 4, 1, 5]);
    for padding in [4, usize::MAX / 2 + 1, usize::MAX] {
        assert!(matches!(rows(padding), Err(Error::NothingLeft { .. })));
    }
    let (x, w) = (zeros(&x), zeros(&w));
    let error = conv_transpose2d(&x, &w, Some(&zeros(&[3])), &spec()).unwrap_err();
    assert_eq!(error.to_string(), "conv_transpose2d: bias must have shape [4], got [3]");
    let error = conv_transpose2d(&x, &w.to_dtype(DType::F64).unwrap(), None, &spec()).unwrap_err();
    assert!(matches!(error, Error::DTypeMismatch { op: "conv_transpose2d", left: DType::F32, right: DType::F64 }));
    let (x, w) = (x.to_dtype(DType::U8).unwrap(), w.to_dtype(DType::U8).unwrap());
    assert!(matches!(conv_transpose2d(&x, &w, None, &spec()), Err(Error::DType { dtype: DType::U8, .. })));
}
