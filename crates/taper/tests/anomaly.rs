//! Anomaly detection with layers: which of them is named, and that looking costs no bit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use taper::prelude::*;
use taper::trainer::data::InMemoryDataset;
use taper::trainer::{AnomalyPlace, Error};

const SAMPLES: usize = 6;

fn loader() -> Loader {
    let values = (0..SAMPLES * 2 * 6 * 5).map(|i| (i as f32 * 12.9898).sin()).collect();
    let targets = (0..SAMPLES).map(|i| i as u32 % 3).collect();
    Loader::new(InMemoryDataset::new(values, &[2, 6, 5], targets).unwrap(), 3).unwrap()
}

fn network(store: &VarStore) -> Sequential {
    let vb = store.builder();
    Sequential::new()
        .add(Conv2d::new(2, 4, 3, Conv2dConfig::default().padding(1), vb.pp("conv1")).unwrap())
        .add(BatchNorm2d::new(4, BatchNormConfig::default(), vb.pp("bn1")).unwrap())
        .add(ReLU)
        .add(Conv2d::new(4, 5, [3, 2], Conv2dConfig::default(), vb.pp("conv2")).unwrap())
        .add(ReLU)
        .add(Flatten::default())
        .add(Dropout::new(0.25))
        .add(Linear::new(5 * 4 * 4, 3, vb.pp("fc")).unwrap())
}

fn bits(store: &VarStore) -> Vec<Vec<u32>> {
    let bits = |var: &Var| {
        let values: Vec<f32> = var.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    store.vars().values().chain(store.buffers().values()).map(bits).collect()
}

fn set(store: &VarStore, name: &str, at: usize, value: f32) {
    let var = &store.vars()[name];
    let mut values: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
    values[at] = value;
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
}

/// What a fit of two epochs finds once `spoil` has had its way with the weights, after the step before.
fn found(observed: bool, step: usize, spoil: impl Fn(&VarStore)) -> (Error, bool) {
    let store = VarStore::new(3, DType::F32, &Device::Cpu);
    let net = network(&store);
    let steps = std::cell::Cell::new(0);
    let before = std::cell::RefCell::new(Vec::new());
    let forward = |x: &Tensor, mode: &Mode| {
        steps.set(steps.get() + 1);
        if steps.get() == step {
            spoil(&store);
            *before.borrow_mut() = bits(&store);
        }
        net.forward_in(x, mode)
    };
    let mut trainer = Trainer::new(store.vars(), forward).buffers(store.buffers()).epochs(2).detect_anomaly(true);
    if observed {
        trainer = trainer.observe_layers(observe_outputs);
    }
    let error = trainer.fit(&loader(), None).unwrap_err();
    drop(trainer);
    let vars = store.vars().len();
    let untouched = bits(&store)[..vars] == before.borrow()[..vars];
    (error, untouched)
}

#[test]
fn the_first_layer_whose_output_is_not_finite_is_named_and_its_step_not_taken() {
    // Channel 2 of five; conv2's outputs are [3, 5, 4, 4], and fc's after it are all NaN.
    let (error, untouched) = found(true, 3, |store| set(store, "conv2.bias", 2, f32::NAN));
    let told =
        "step 3 (epoch 2): the first value that is not finite is in the output of layer conv2: NaN at [0, 2, 0, 0]";
    assert_eq!(error.to_string(), told);
    assert!(untouched);
    let (error, _) = found(false, 3, |store| set(store, "conv2.bias", 2, f32::NAN));
    assert!(matches!(error, Error::Anomaly { place: AnomalyPlace::Output, step: 3, .. }), "{error}");
    let (error, _) = found(true, 2, |store| set(store, "bn1.weight", 3, f32::INFINITY));
    assert!(error.to_string().contains("is in the output of layer bn1: "), "{error}");
}

#[test]
fn what_overflows_is_found_where_it_does() {
    // What batch normalisation and ReLU hand on is positive and of size 1: sums of 1e38 of it are infinite in float32.
    let (error, _) = found(true, 1, |store| {
        (0..5).for_each(|channel| set(store, "conv2.bias", channel, 3.4e38));
        (0..5 * 4 * 6).for_each(|at| set(store, "conv2.weight", at, 1e38));
    });
    assert!(matches!(&error, Error::Anomaly { place: AnomalyPlace::Layer(name), .. } if name == "conv2"), "{error}");
}

#[test]
fn looking_changes_no_bit() {
    let run = |detect: bool| {
        let store = VarStore::new(3, DType::F32, &Device::Cpu);
        let net = network(&store);
        let trainer = Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode)).buffers(store.buffers()).epochs(2);
        trainer.detect_anomaly(detect).observe_layers(observe_outputs).fit(&loader(), None).unwrap();
        bits(&store)
    };
    assert_eq!(run(true), run(false));
}
