//! Layers that a `Sequential` runs as one give the bits of one after the other: values, gradients, running statistics.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use taper_layers::{
    AvgPool2d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, Dropout, Flatten, GELU, Layer, Linear, MaxPool1d,
    MaxPool2d, ReLU, Sequential, VarStore, observe,
};
use taper_ops::{MaxPoolSpec, Mode};

const CHANNELS: usize = 3;

/// A layer that keeps the shape `[N, CHANNELS, H, W]`, but for its extents.
fn add(net: Sequential, kind: usize, name: usize, store: &VarStore) -> Sequential {
    let vb = store.builder().pp(format!("layer{name}"));
    match kind {
        0 => net.add(Conv2d::new(CHANNELS, CHANNELS, 3, Conv2dConfig::default().padding(1), vb).unwrap()),
        1 => net.add(Conv2d::new(CHANNELS, CHANNELS, [1, 3], Conv2dConfig::default().bias(false), vb).unwrap()),
        2 => net.add(BatchNorm2d::new(CHANNELS, BatchNormConfig::default(), vb).unwrap()),
        3 => net.add(ReLU),
        4 => net.add(MaxPool2d::from(MaxPoolSpec::new([2, 3]).stride(1).padding([1, 1]))),
        5 => net.add(AvgPool2d::new([1, 2])),
        6 => net.add(Dropout::new(0.3)),
        7 => net.add(GELU::default()),
        8 => net.add_module("elsewhere", |x: &Tensor| x * 0.5),
        _ => net.add(Sequential::new().add(ReLU)),
    }
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let values: Vec<f64> = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::to_bits).collect()
}

/// The output, the gradients and, moved by the forward pass, the statistics.
fn run(kinds: &[usize], mode: &Mode, dtype: DType, apart: bool) -> BTreeMap<String, Vec<u64>> {
    let store = VarStore::new(7, dtype, &Device::Cpu);
    let mut net = kinds.iter().enumerate().fold(Sequential::new(), |net, (name, kind)| add(net, *kind, name, &store));
    net = net.add(Flatten::default());
    let x = Tensor::from_iter((0..4 * CHANNELS * 9 * 40).map(|i| (i as f64 * 0.7).sin()), &Device::Cpu).unwrap();
    let x = x.reshape((4, CHANNELS, 9, 40)).unwrap().to_dtype(dtype).unwrap();
    let y = if apart {
        net.iter().try_fold(x, |x, layer| layer.forward_in(&x, mode)).unwrap()
    } else {
        net.forward_in(&x, mode).unwrap()
    };
    let grads = y.sqr().unwrap().backward().unwrap();
    let mut found: BTreeMap<String, Vec<u64>> = store
        .vars()
        .iter()
        .filter_map(|(name, var)| Some((format!("gradient of {name}"), bits(grads.get(var)?))))
        .chain(store.buffers().iter().map(|(name, buffer)| (name.clone(), bits(buffer))))
        .collect();
    found.insert("output".into(), bits(&y));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(20_261_124), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sequential_is_its_layers_one_after_the_other(
        kinds in prop::collection::vec(prop_oneof![3 => 0..5usize, 2 => Just(3usize), 1 => 5..10usize], 1..8),
        training in any::<bool>(),
        double in any::<bool>(),
    ) {
        let mode = || if training { Mode::train(5, 2, 0) } else { Mode::eval() };
        let dtype = if double { DType::F64 } else { DType::F32 };
        prop_assert_eq!(run(&kinds, &mode(), dtype, false), run(&kinds, &mode(), dtype, true));
    }
}

#[test]
fn linear_layers_and_windows_of_other_axes() {
    let store = VarStore::new(7, DType::F32, &Device::Cpu);
    let net = Sequential::new()
        .add(Linear::new(6, 8, store.builder().pp("fc")).unwrap())
        .add(ReLU)
        // Behind a linear layer it is no part of one operator.
        .add(MaxPool1d::new(2));
    let x =
        Tensor::from_iter((0..5 * 3 * 6).map(|i| (i as f32).sin()), &Device::Cpu).unwrap().reshape((5, 3, 6)).unwrap();
    let y = net.forward_in(&x, &Mode::eval()).unwrap();
    let apart = net.iter().try_fold(x, |x, layer| layer.forward_in(&x, &Mode::eval())).unwrap();
    assert_eq!(y.dims(), [5, 3, 4]);
    assert_eq!(bits(&y), bits(&apart));
}

#[test]
fn who_observes_sees_every_layer() {
    let store = VarStore::new(7, DType::F32, &Device::Cpu);
    let net = Sequential::new()
        .add(Conv2d::new(1, 2, 3, Conv2dConfig::default(), store.builder().pp("conv")).unwrap())
        .add(ReLU)
        .add(MaxPool2d::new(2));
    let x = Tensor::ones((1, 1, 6, 8), DType::F32, &Device::Cpu).unwrap();
    let (y, calls) = observe(|| net.forward_in(&x, &Mode::eval()));
    assert_eq!(calls.iter().map(|call| call.kind.as_str()).collect::<Vec<_>>(), ["Conv2d", "ReLU", "MaxPool2d"]);
    assert_eq!(bits(&y.unwrap()), bits(&net.forward_in(&x, &Mode::eval()).unwrap()));
}
