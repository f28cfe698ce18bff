#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! Wrong forwards, which differences agree with, are found by properties.

use candle_core::{DType, Device, Result, Tensor};
use taper_gradcheck::strategies::{Fill, Kind};
use taper_gradcheck::{Assertion, GradCheck, Shift, assert_gradients};

fn reals(shape: &[usize], seed: u64) -> Tensor {
    Fill { kind: Kind::Reals, seed }.tensor(shape, DType::F64).unwrap()
}

#[test]
fn a_kernel_that_ignores_strides_is_found() {
    // candle 0.11.1 reads the kernel of a conv1d as if it were contiguous.
    let conv1d = |x: &[Tensor]| x[0].conv1d(&x[1], 1, 2, 1, 1);
    let (x, w) = (reals(&[2, 3, 9], 1), reals(&[4, 3, 2], 2));
    let report = GradCheck::new("conv1d").layout_invariance(conv1d, &[x.clone(), w.clone()]).unwrap();
    assert!(report.failed(Assertion::InputLayout), "{report}");
    let contiguous = |x: &[Tensor]| x[0].contiguous()?.conv1d(&x[1].contiguous()?, 1, 2, 1, 1);
    // Its weight gradient is wrong at batch > 1 too, whatever the layout, so only the value is compared here.
    let value = |x: &[Tensor]| contiguous(x).map(|y| y.detach());
    GradCheck::new("conv1d").layout_invariance(value, &[x, w]).unwrap().assert_passed();
}

#[test]
fn a_pair_of_layouts_is_tried_together() {
    // candle 0.11.1 folds the batch of a matmul without a look at the row stride.
    let (a, b) = (reals(&[2, 3, 4], 3), reals(&[2, 4, 5], 4));
    let matmul = |x: &[Tensor]| x[0].matmul(&x[1]);
    let report = GradCheck::new("matmul").input_names(["a", "b"]).layout_invariance(matmul, &[a, b]).unwrap();
    let detail = &report.failures[0].detail;
    assert!(detail.contains("`a` transposed and `b` broadcast over axis 0"), "{report}");
}

#[test]
fn a_value_that_mixes_samples_is_found() {
    let mixes = |x: &[Tensor]| x[0].broadcast_sub(&x[0].mean_keepdim(0)?);
    let check = GradCheck::new("mixes");
    let x = reals(&[3, 4], 5);
    assert!(check.batch_invariance(mixes, std::slice::from_ref(&x), &[0]).unwrap().failed(Assertion::BatchInvariance));
    let by_position = |x: &[Tensor]| -> Result<Tensor> {
        let n = x[0].dim(0)?;
        x[0].broadcast_add(&Tensor::arange(0f64, n as f64, x[0].device())?.reshape((n, 1))?)
    };
    assert!(
        check.batch_invariance(by_position, std::slice::from_ref(&x), &[0]).unwrap().failed(Assertion::BatchInvariance)
    );
    let w = reals(&[4, 2], 6);
    check.batch_invariance(|x: &[Tensor]| x[0].matmul(&x[1]), &[x, w], &[0]).unwrap().assert_passed();
}

#[test]
fn a_value_that_does_not_move_along_is_found() {
    let x = reals(&[1, 2, 13], 7);
    let shift = Shift { input: 0, axis: 2, by: 3, moves: 3, border: 1 };
    let check = GradCheck::new("f");
    check.shift_equivariance(|x: &[Tensor]| x[0].tanh(), std::slice::from_ref(&x), shift).unwrap().assert_passed();
    let windowed = |x: &[Tensor]| x[0].broadcast_mul(&Tensor::arange(0f64, 13., &Device::Cpu)?);
    let report = check.shift_equivariance(windowed, &[x], shift).unwrap();
    assert!(report.failed(Assertion::ShiftEquivariance), "{report}");
}

#[test]
fn bits_that_differ_are_found_in_value_and_gradient() {
    let x = reals(&[3, 4], 8);
    let check = GradCheck::new("f");
    let thrice = |x: &[Tensor]| ((&x[0] + &x[0])? + &x[0])?.affine(1.0, 0.1);
    let scaled = |x: &[Tensor]| x[0].affine(3.0, 0.1);
    check.same_bits(scaled, scaled, std::slice::from_ref(&x)).unwrap().assert_passed();
    let off = |x: &[Tensor]| x[0].affine(3.0, 0.1 + f64::EPSILON);
    assert!(check.same_bits(scaled, off, std::slice::from_ref(&x)).unwrap().failed(Assertion::SameBits));
    let severed = |x: &[Tensor]| Ok::<_, candle_core::Error>(thrice(x)?.detach());
    assert!(check.same_bits(thrice, severed, &[x]).unwrap().failed(Assertion::SameBits));
}

#[test]
#[should_panic(expected = "numeric ÷ 2 everywhere")]
fn the_macro_fails_a_test() {
    assert_gradients!(|x| x * x.detach(), [reals(&[2, 3], 9)]);
}

#[test]
fn the_macro_passes_options_on() {
    let (x, w) = (reals(&[3, 2], 10), reals(&[2, 5], 11));
    assert_gradients!(|x, w| x.matmul(w), [x, w], linear_in([0, 1]), directions(2), seed(3));
}
