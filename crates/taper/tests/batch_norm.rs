//! A network with batch normalisation, trained, interrupted, resumed and evaluated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use taper::prelude::*;
use taper::trainer::{Error, Observer, Result, StepEnd};

fn network(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 4, 3, Conv2dConfig::default().padding(1).bias(false), vb.pp("conv1"))?)
        .add(BatchNorm2d::new(4, BatchNormConfig::default(), vb.pp("bn1"))?)
        .add(ReLU)
        .add(MaxPool2d::new([1, 2]))
        .add(Conv2d::new(4, 6, [3, 2], Conv2dConfig::default().bias(false), vb.pp("conv2"))?)
        .add(BatchNorm2d::new(6, BatchNormConfig::default().momentum(None), vb.pp("bn2"))?)
        .add(ReLU)
        .add(AdaptiveAvgPool2d::new(1))
        .add(Flatten::default())
        .add(Linear::new(6, 2, vb.pp("fc"))?))
}

/// Pictures of 6 × 8 pixels, noise with a bright row (class 0) or column (class 1).
fn pictures(count: usize) -> Loader {
    let pixel = |sample: usize, i: usize| {
        let line = [i / 8 == sample % 6, i % 8 == sample % 8][sample % 2];
        ((sample * 48 + i) as f32 * 12.9898).sin() + if line { 3. } else { 0. }
    };
    let inputs = (0..count).flat_map(|sample| (0..48).map(move |i| pixel(sample, i))).collect();
    let targets = (0..count).map(|sample| (sample % 2) as u32).collect();
    Loader::new(InMemoryDataset::new(inputs, &[1, 6, 8], targets).unwrap(), 7).unwrap()
}

fn trainer<'a>(net: &'a Sequential, store: &VarStore, folder: &Path) -> Trainer<'a> {
    Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode))
        .buffers(store.buffers())
        .optimizer(AdamW::new(AdamWConfig { lr: 0.01, weight_decay: 0.5, ..Default::default() }).unwrap())
        .clip_norm(1.0)
        .epochs(12)
        .seed(5)
        .checkpoints(Checkpoints::new(folder).every_steps(3))
        .resume(true)
}

/// Stops a fit after a step, as a crash would.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        if step.step < self.0 { Ok(()) } else { Err(Error::Candle(taper::Error::Msg("stopped".to_owned()))) }
    }
}

/// Every parameter and buffer to the bit.
fn bits(store: &VarStore) -> BTreeMap<String, Vec<u64>> {
    let values = |var: &Var| var.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let bits = |var: &Var| values(var).into_iter().map(f64::to_bits).collect();
    store.vars().iter().chain(&store.buffers()).map(|(name, var)| (name.clone(), bits(var))).collect()
}

#[test]
fn it_trains_resumes_to_the_bit_and_is_evaluated_by_its_running_statistics() {
    // Six batches an epoch, the last of five pictures.
    let (train, test) = (pictures(40).seed(3).shuffle(true), pictures(60));
    let run = |folder: &Path, seed, stop| {
        let store = VarStore::new(seed, DType::F32, &Device::Cpu);
        let net = network(store.builder()).unwrap();
        let history = trainer(&net, &store, folder).observer(StopAfter(stop)).fit(&train, Some(&test));
        (net, store, history)
    };
    let whole = tempfile::tempdir().unwrap();
    let (net, store, history) = run(whole.path(), 1, usize::MAX);
    let history = history.unwrap();
    assert!(history.epochs[11].val.unwrap().accuracy > Some(0.9), "{history:?}");

    // In the middle of the third epoch. What the resuming run begins with does not matter.
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), 1, 16).2.unwrap_err();
    let (_, resumed, resumed_history) = run(folder.path(), 2, usize::MAX);
    assert_eq!(bits(&resumed), bits(&store));
    assert_eq!(resumed_history.unwrap(), history);

    for name in ["bn1", "bn2"] {
        assert_eq!(store.buffers()[&format!("{name}.num_batches_tracked")].to_scalar::<i64>().unwrap(), 12 * 6);
    }
    // By running statistics a picture's logits are its own affair; by the batch's they are not.
    let before = bits(&store);
    let x = test.epoch(0, 0).next().unwrap().unwrap().inputs;
    let alone = x.narrow(0, 2, 1).unwrap();
    let logits = |y: Tensor, row| y.get(row).unwrap().to_vec1::<f32>().unwrap();
    let of = |x, row| logits(net.eval().forward(x).unwrap(), row);
    assert_eq!(of(&x, 2), of(&alone, 0));
    assert_eq!(logits(trainer(&net, &store, whole.path()).predict(&x).unwrap(), 2), of(&x, 2));
    assert_eq!(bits(&store), before, "evaluation moves nothing");
    assert_ne!(logits(net.train(1, 0, 0).forward(&x).unwrap(), 2), of(&alone, 0));
}

/// No optimiser steps, decays or clips a buffer: at a learning rate of 0 the running statistics are those of the
/// forward passes alone.
#[test]
fn the_optimiser_leaves_running_statistics_alone() {
    let (folder, train) = (tempfile::tempdir().unwrap(), pictures(40));
    let [trained, by_hand] = [1, 1].map(|seed| VarStore::new(seed, DType::F32, &Device::Cpu));
    let net = network(trained.builder()).unwrap();
    let frozen = AdamWConfig { lr: 0., weight_decay: 0.5, ..Default::default() };
    let trainer = trainer(&net, &trained, folder.path()).optimizer(AdamW::new(frozen).unwrap());
    trainer.clip_norm(1e-3).epochs(2).fit(&train, None).unwrap();

    let net = network(by_hand.builder()).unwrap();
    for batch in (0..2).flat_map(|epoch| train.epoch(epoch, 0)) {
        net.train(1, 0, 0).forward(&batch.unwrap().inputs).unwrap();
    }
    assert_eq!(bits(&trained), bits(&by_hand));
}
