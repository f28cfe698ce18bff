//! Anomaly detection: each place that a value which is not finite can come from is named, and so is its index.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use std::cell::Cell;
use support::{Net, loader};
use taper_ops::{CrossEntropySpec, Mode, cross_entropy};
use taper_trainer::data::{InMemoryDataset, Loader};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::{AnomalyPlace, Error, LrFinder, Trainer};

fn trainer<'a>(net: &'a Net, forward: impl Fn(&Tensor, &Mode) -> candle_core::Result<Tensor> + 'a) -> Trainer<'a> {
    let sgd = Sgd::new(SgdConfig { lr: 0.1, ..Default::default() }).unwrap();
    Trainer::new(net.vars.clone(), forward).buffers(net.buffers.clone()).optimizer(sgd).epochs(3).detect_anomaly(true)
}

/// Passes values on, and multiplies their gradients.
struct Scaled(f64);

impl CustomOp1 for Scaled {
    fn name(&self) -> &'static str {
        "scaled"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let CpuStorage::F32(values) = storage else { panic!("float32") };
        let (start, end) = layout.contiguous_offsets().unwrap();
        Ok((CpuStorage::F32(values[start..end].to_vec()), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some((grad * self.0)?))
    }
}

#[test]
fn a_sample_that_is_not_finite_is_named_whatever_its_place_in_the_batch() {
    let mut values = vec![0.25; 23 * 60];
    values[17 * 60 + 7] = f32::NEG_INFINITY;
    let data = InMemoryDataset::new(values, &[2, 6, 5], vec![1; 23]).unwrap();
    let loader = Loader::new(data, 5).unwrap().seed(7).shuffle(true);
    let order: Vec<usize> = loader.epoch(0, 0).flat_map(|batch| batch.unwrap().indices).collect();
    let place = order.iter().position(|sample| *sample == 17).unwrap();
    assert_ne!((place / 5, place % 5), (3, 2), "the test needs a place that differs from the sample's number");
    for pieces in [5, 2] {
        let net = Net::new(DType::F32);
        let error = trainer(&net, |x, mode| net.forward(x, mode)).micro_batch(pieces).fit(&loader, None).unwrap_err();
        let index = [place % 5 % pieces, 0, 1, 2];
        let step = place / 5 + 1;
        let told = format!(
            "step {step} (epoch 1): the first value that is not finite is in the inputs, in sample 17 of the data set: \
             -inf at {index:?}"
        );
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_told_from_an_output_that_is_not() {
    let net = Net::new(DType::F32);
    let calls = Cell::new(0);
    let loss = |logits: &Tensor, targets: &Tensor| {
        calls.set(calls.get() + 1);
        let loss = cross_entropy(logits, targets, &CrossEntropySpec::default())?;
        if calls.get() == 8 { loss * f64::NAN } else { Ok(loss) }
    };
    let error = trainer(&net, |x, mode| net.forward(x, mode)).loss(loss).fit(&loader(), None).unwrap_err();
    let told = "step 8 (epoch 2): the first value that is not finite is in the loss: NaN at []";
    assert_eq!(error.to_string(), told);
}

#[test]
fn of_gradients_that_are_not_finite_that_of_the_last_layer_is_named() {
    let net = Net::new(DType::F32);
    let before = net.bits();
    // Behind the convolution: its two gradients are lost, the linear layer's are not.
    let forward = |x: &Tensor, mode: &Mode| net.forward(x, mode)?.apply_op1(Scaled(f64::INFINITY));
    let place = |observed: bool| {
        let mut trainer = trainer(&net, forward);
        if observed {
            let layers = |run: &mut dyn FnMut() -> candle_core::Result<Tensor>| {
                let output = run()?;
                Ok(vec![("conv".to_owned(), output.clone()), ("fc".to_owned(), output)])
            };
            trainer = trainer.observe_layers(layers);
        }
        match trainer.fit(&loader(), None).unwrap_err() {
            Error::Anomaly { place, step: 1, .. } => place,
            other => panic!("{other}"),
        }
    };
    assert_eq!(place(true), AnomalyPlace::Gradient("fc.bias".to_owned()));
    assert_eq!(place(false), AnomalyPlace::Gradient("conv.bias".to_owned()), "by name where no layer is known");
    assert_eq!(before, net.bits(), "no step is taken");
}

#[test]
fn a_layer_that_hides_an_infinity_is_found_by_the_gradient_it_spoils() {
    let net = Net::new(DType::F32);
    // As of infinity in a sigmoid, whose output is 1: only the backward pass shows it.
    let forward = |x: &Tensor, mode: &Mode| net.forward(x, mode)?.apply_op1(Scaled(f64::NAN));
    let layers = |run: &mut dyn FnMut() -> candle_core::Result<Tensor>| {
        let output = run()?;
        let infinite = (output.ones_like()? / 0.0)?;
        Ok(vec![("conv".to_owned(), output), ("scale".to_owned(), infinite)])
    };
    let error = trainer(&net, forward).observe_layers(layers).fit(&loader(), None).unwrap_err();
    assert!(matches!(&error, Error::Anomaly { place: AnomalyPlace::Layer(name), .. } if name == "scale"), "{error}");
}

#[test]
fn a_variable_that_a_step_has_spoilt_is_named() {
    let net = Net::new(DType::F32);
    let sgd = Sgd::new(SgdConfig { lr: 3e38, ..Default::default() }).unwrap();
    let forward = |x: &Tensor, mode: &Mode| net.forward(x, mode)?.apply_op1(Scaled(1e6));
    let error = trainer(&net, forward).optimizer(sgd).fit(&loader(), None).unwrap_err();
    assert!(error.to_string().starts_with("step 1 (epoch 1): the first value"), "{error}");
    assert!(error.to_string().contains("is in conv.bias, after the optimiser's step: "), "{error}");
}

#[test]
fn a_buffer_that_is_spoilt_is_named() {
    let net = Net::with_batch_norm(DType::F32);
    net.buffers["bn.running_var"].set(&(net.buffers["bn.running_var"].as_tensor() / 0.0).unwrap()).unwrap();
    let error = trainer(&net, |x, mode| net.forward(x, mode)).fit(&loader(), None).unwrap_err();
    let told = "step 1 (epoch 1): the first value that is not finite is in the buffer bn.running_var, after the step: \
                inf at [0]";
    assert_eq!(error.to_string(), told);
}

#[test]
fn a_search_for_a_learning_rate_ends_where_the_loss_does() {
    let net = Net::new(DType::F32);
    let finder = LrFinder { end_lr: 1e30, steps: 40, divergence: 1e300, ..Default::default() };
    let curve = trainer(&net, |x, mode| net.forward(x, mode)).find_lr(&loader(), &finder).unwrap();
    assert!(curve.points.len() > 2 && curve.points.len() < 40, "{}", curve.points.len());
}
