//! Layers that are frozen as they are built: no gradient is computed for them, and the rest trains as it would.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use taper::prelude::*;
use taper::trainer::data::InMemoryDataset;
use taper::trainer::optim::gradients;

fn loader() -> Loader {
    let values = (0..9 * 2 * 6 * 5).map(|i| (i as f32 * 12.9898).sin()).collect();
    let targets = (0..9).map(|i| i % 3).collect();
    Loader::new(InMemoryDataset::new(values, &[2, 6, 5], targets).unwrap(), 3).unwrap()
}

fn network(store: &VarStore) -> Sequential {
    let vb = store.builder();
    let features = vb.pp("features");
    Sequential::new()
        .add(Conv2d::new(2, 4, 3, Conv2dConfig::default().padding(1), features.pp("conv")).unwrap())
        .add(BatchNorm2d::new(4, BatchNormConfig::default(), features.pp("bn")).unwrap())
        .add(ReLU)
        .add(Conv2d::new(4, 5, [3, 2], Conv2dConfig::default(), vb.pp("conv2")).unwrap())
        .add(Flatten::default())
        .add(Linear::new(5 * 4 * 4, 3, vb.pp("features2")).unwrap())
}

fn bits(store: &VarStore) -> BTreeMap<String, Vec<u32>> {
    let bits = |var: &Var| {
        let values: Vec<f32> = var.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    store.vars().iter().chain(&store.buffers()).map(|(name, var)| (name.clone(), bits(var))).collect()
}

fn trainer<'a>(net: &'a Sequential, store: &VarStore) -> Trainer<'a> {
    Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode)).buffers(store.buffers()).epochs(3)
}

#[test]
fn layers_frozen_as_they_are_built_train_as_those_the_trainer_freezes() {
    let by_trainer = VarStore::new(3, DType::F32, &Device::Cpu);
    let net = network(&by_trainer);
    let before = bits(&by_trainer);
    trainer(&net, &by_trainer).freeze(["features.*"]).fit(&loader(), None).unwrap();

    let by_store = VarStore::new(3, DType::F32, &Device::Cpu);
    by_store.freeze(["features"]);
    let net = network(&by_store);
    assert_eq!(bits(&by_store), before);
    let trained = ["conv2.bias", "conv2.weight", "features2.bias", "features2.weight"];
    assert_eq!(by_store.vars().keys().collect::<Vec<_>>(), trained);
    trainer(&net, &by_store).fit(&loader(), None).unwrap();
    assert_eq!(bits(&by_store), bits(&by_trainer));
    assert_eq!(bits(&by_store)["features.conv.weight"], before["features.conv.weight"]);
    assert_ne!(bits(&by_store)["features.bn.running_mean"], before["features.bn.running_mean"], "statistics move on");
    assert_ne!(bits(&by_store)["conv2.weight"], before["conv2.weight"]);
}

#[test]
fn no_gradient_is_computed_for_them_and_files_still_reach_them() {
    let store = VarStore::new(3, DType::F32, &Device::Cpu);
    store.freeze(["features", "conv2"]);
    let net = network(&store);
    let x = Tensor::ones((2, 2, 6, 5), DType::F32, &Device::Cpu).unwrap();
    let y = net.forward_in(&x, &Mode::train(1, 0, 0)).unwrap();
    let all: BTreeMap<String, Var> = store.vars().into_iter().chain(store.buffers()).collect();
    let grads = gradients(&y.sqr().unwrap().sum_all().unwrap(), &all).unwrap();
    assert_eq!(grads.keys().collect::<Vec<_>>(), ["features2.bias", "features2.weight"]);

    let path = tempfile::tempdir().unwrap();
    let file = path.path().join("weights.safetensors");
    let other = VarStore::new(8, DType::F32, &Device::Cpu);
    let other_net = network(&other);
    other.save(&file).unwrap();
    store.load(&file).unwrap();
    let logits = |net: &Sequential| net.forward_in(&x, &Mode::eval()).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(logits(&net), logits(&other_net));
    // A layer that asks for a frozen name again is handed the same values, still without a gradient.
    let again = network(&store);
    let y = again.forward_in(&x, &Mode::eval()).unwrap();
    assert_eq!(gradients(&y.sum_all().unwrap(), &all).unwrap().len(), 2);
}
