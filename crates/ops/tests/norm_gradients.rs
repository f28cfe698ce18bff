//! The normalisations against finite differences, to the second order.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use support::layouts::{reals, values};
use taper_gradcheck::GradCheck;
use taper_ops::{
    ChannelStatistics, Result, batch_norm, batch_norm_eval, batch_norm_with_statistics, group_norm, instance_norm,
    instance_norm_with_statistics, layer_norm, local_response_norm, rms_norm,
};

/// First and second derivatives of `f` by x, and by the weight and the bias where it takes them.
fn check(
    name: &str,
    f: impl Fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Result<Tensor> + Sync,
    x: &[usize],
    affine: &[usize],
) {
    let inputs = [reals(x, 1), reals(affine, 2), reals(affine, 3)];
    for count in 1..=inputs.len() {
        let check = GradCheck::new(format!("{name} of {count}")).forbid_wasted_gradients();
        let f = |t: &[Tensor]| f(&t[0], t.get(1), t.get(2));
        check.check(f, &inputs[..count]).unwrap().assert_passed();
        check.check_second_order(f, &inputs[..count]).unwrap().assert_passed();
    }
}

#[test]
fn batch() {
    for shape in [vec![4, 3], vec![3, 2, 4], vec![2, 3, 4, 5]] {
        check("batch_norm", |x, w, b| batch_norm(x, w, b, 1e-2), &shape, &shape[1..2]);
    }
}

#[test]
fn evaluation() {
    let running = ChannelStatistics {
        mean: Tensor::new(&[0.3, -0.8], &Device::Cpu).unwrap(),
        var: Tensor::new(&[0.7, 2.5], &Device::Cpu).unwrap(),
    };
    check("batch_norm_eval", |x, w, b| batch_norm_eval(x, &running, w, b, 1e-2), &[3, 2, 4], &[2]);
}

#[test]
fn groups_and_instances() {
    check("group_norm", |x, w, b| group_norm(x, 2, w, b, 1e-2), &[3, 4, 5], &[4]);
    check("group_norm", |x, w, b| group_norm(x, 2, w, b, 1e-2), &[3, 6], &[6]);
    check("instance_norm", |x, w, b| instance_norm(x, w, b, 1e-2), &[2, 3, 4], &[3]);
}

#[test]
fn beside_statistics() {
    let batch = |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| Ok(batch_norm_with_statistics(x, w, b, 1e-2)?.0);
    check("batch_norm_with_statistics", batch, &[3, 2, 4], &[2]);
    let instance =
        |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| Ok(instance_norm_with_statistics(x, w, b, 1e-2)?.0);
    check("instance_norm_with_statistics", instance, &[2, 3, 4], &[3]);
}

#[test]
fn last_axes() {
    check("layer_norm", |x, w, b| layer_norm(x, &[5], w, b, 1e-2), &[2, 3, 5], &[5]);
    check("layer_norm", |x, w, b| layer_norm(x, &[3, 4], w, b, 1e-2), &[2, 3, 4], &[3, 4]);
    let rms = |t: &[Tensor]| rms_norm(&t[0], &[3, 4], t.get(1), Some(1e-2));
    let inputs = [reals(&[2, 3, 4], 1), reals(&[3, 4], 2)];
    for count in 1..=2 {
        let check = GradCheck::new("rms_norm").forbid_wasted_gradients();
        check.check(rms, &inputs[..count]).unwrap().assert_passed();
        check.check_second_order(rms, &inputs[..count]).unwrap().assert_passed();
    }
}

#[test]
fn local_response() {
    let f = |t: &[Tensor]| local_response_norm(&t[0], 3, 0.5, 0.75, 1.5);
    let check = GradCheck::new("local_response_norm");
    check.check(f, &[reals(&[2, 5, 3], 1)]).unwrap().assert_passed();
    check.check_second_order(f, &[reals(&[2, 5, 3], 1)]).unwrap().assert_passed();
}

#[test]
fn a_bias_alone_has_a_gradient() {
    let bias = Var::from_tensor(&reals(&[3], 4)).unwrap();
    let y = batch_norm(&reals(&[4, 3, 5], 5), None, Some(&bias), 1e-5).unwrap();
    let dbias = y.backward().unwrap().get(&bias).unwrap().clone();
    assert_eq!(values(&dbias), [20., 20., 20.]);
}

#[test]
fn running_statistics_are_constants() {
    let var = |value: f64| Var::from_tensor(&Tensor::full(value, 3, &Device::Cpu).unwrap()).unwrap();
    let (mean, var) = (var(0.5), var(2.));
    let x = Var::zeros((2, 3, 4), DType::F64, &Device::Cpu).unwrap();
    let running = ChannelStatistics { mean: mean.as_tensor().clone(), var: var.as_tensor().clone() };
    let grads = batch_norm_eval(&x, &running, None, None, 1e-5).unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some() && grads.get(&mean).is_none() && grads.get(&var).is_none());
}
