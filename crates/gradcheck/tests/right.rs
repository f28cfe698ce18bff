#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! Right gradients pass, at every option.

use candle_core::{DType, Device, Result, Tensor};
use taper_gradcheck::{Assertion, Error, GradCheck, Kinks};

fn tensor(dims: &[usize], phase: f64) -> Tensor {
    let count = dims.iter().product::<usize>();
    let data: Vec<f64> = (0..count).map(|i| ((i as f64 + phase) * 0.73).sin() * 2.0 + 0.01).collect();
    Tensor::from_vec(data, dims, &Device::Cpu).unwrap()
}

#[test]
fn smooth_compositions_pass() {
    type F = fn(&[Tensor]) -> Result<Tensor>;
    let checks: Vec<(&str, F)> = vec![
        ("tanh", |x| x[0].tanh()),
        ("exp·sin", |x| x[0].exp()? * x[0].sin()?),
        ("x³ summed", |x| x[0].powf(3.0)?.sum(1)),
        ("scalar", |x| x[0].sqr()?.sum_all()),
    ];
    for (name, f) in checks {
        let report = GradCheck::new(name).check(f, &[tensor(&[2, 3, 4], 0.0)]).unwrap();
        report.assert_passed();
        assert_eq!(report.elements(), 24);
    }
}

#[test]
fn a_linear_operator_passes_to_rounding_in_both_dtypes() {
    let (a, b) = (tensor(&[3, 4], 0.0), tensor(&[4, 5], 9.0));
    for dtype in [DType::F64, DType::F32] {
        let check = GradCheck::new("matmul").linear_in([0, 1]).dtype(dtype);
        check.check(|x: &[Tensor]| x[0].matmul(&x[1]), &[a.clone(), b.clone()]).unwrap().assert_passed();
        check.directions(3).check(|x: &[Tensor]| x[0].matmul(&x[1]), &[a.clone(), b.clone()]).unwrap().assert_passed();
    }
}

#[test]
fn float32_alone_passes_on_a_curved_function() {
    let check = GradCheck::new("tanh").dtype(DType::F32);
    check.check(|x: &[Tensor]| x[0].tanh(), &[tensor(&[3, 5], 0.0)]).unwrap().assert_passed();
}

#[test]
fn scalars_empty_tensors_integers_and_views_are_inputs_too() {
    let index = Tensor::new(&[2u32, 0, 2], &Device::Cpu).unwrap();
    let x = tensor(&[4, 3], 0.0).t().unwrap();
    let select = |x: &[Tensor]| x[0].contiguous()?.index_select(&x[1], 0);
    GradCheck::new("select").check(select, &[x, index]).unwrap().assert_passed();
    GradCheck::new("scalar").check(|x: &[Tensor]| x[0].sqr(), &[tensor(&[], 1.0)]).unwrap().assert_passed();
    let empty = GradCheck::new("empty").check(|x: &[Tensor]| x[0].sqr(), &[tensor(&[0, 3], 1.0)]).unwrap();
    empty.assert_passed();
    assert_eq!(empty.elements(), 0);
}

#[test]
fn kinks_are_classified_near_and_far() {
    let relu = |x: &[Tensor]| x[0].relu();
    let x = Tensor::new(&[0.0, 1e-4, -1e-5, 3e-7, 2.0, -1.0], &Device::Cpu).unwrap();
    let report = GradCheck::new("relu").kinks(Kinks::Within).check(relu, &[x]).unwrap();
    report.assert_passed();
    assert_eq!(report.not_differentiable(), 1);
}

#[test]
fn a_subgradient_outside_the_one_sided_derivatives_is_wrong_on_request() {
    let double = |x: &[Tensor]| {
        let relu = x[0].relu()?;
        relu.affine(2.0, 0.0)? - relu.detach()
    };
    let zero = Tensor::new(&[0.0f64], &Device::Cpu).unwrap();
    GradCheck::new("skip").check(double, std::slice::from_ref(&zero)).unwrap().assert_passed();
    let strict = GradCheck::new("within").kinks(Kinks::Within).check(double, &[zero]).unwrap();
    assert!(strict.failed(Assertion::Gradient));
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let x = tensor(&[2, 3], 0.0);
    let sqr = |x: &[Tensor]| x[0].sqr();
    let named = GradCheck::new("f").linear_in([1]).check(sqr, std::slice::from_ref(&x));
    assert_eq!(named.unwrap_err().to_string(), "f: `linear_in` names input 1, but there are 1 inputs, counted from 0");
    let constant = GradCheck::new("f").constant([0]).check(sqr, std::slice::from_ref(&x));
    assert!(matches!(constant, Err(Error::NothingToCheck { .. })));
    let half = GradCheck::new("f").dtype(DType::BF16).check(sqr, std::slice::from_ref(&x));
    assert!(matches!(half, Err(Error::UnsupportedDType { dtype: DType::BF16, .. })));
    let infinite = GradCheck::new("f").check(|x: &[Tensor]| x[0].log(), &[x.zeros_like().unwrap()]);
    assert!(matches!(infinite, Err(Error::NotFinite { .. })));
    let cast = GradCheck::new("f").check(|x: &[Tensor]| x[0].to_dtype(DType::F32), std::slice::from_ref(&x));
    assert!(matches!(cast, Err(Error::OutputDType { found: DType::F32, .. })));
    let refused = GradCheck::new("f").check(|x: &[Tensor]| x[0].reshape((5, 5)), &[x]);
    assert!(matches!(refused, Err(Error::Function { .. })));
}
