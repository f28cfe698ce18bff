//! The gradient of a whole small network, in training, for its input and for every parameter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use taper_gradcheck::GradCheck;
use taper_layers::{
    AvgPool2d, Conv2d, Conv2dConfig, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, VarStore,
};
use taper_ops::MaxPoolSpec;

/// `[N, 2, 9, 8]` to `[N, 3]`, through every layer of the crate.
fn net(vb: VarBuilder<'_>) -> Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(2, 4, [3, 2], Conv2dConfig::default().padding([1, 0]), vb.pp("conv1"))?)
        .add(ReLU)
        .add(MaxPool2d::from(MaxPoolSpec::new([3, 2]).stride([2, 1])))
        .add(Conv2d::new(4, 6, [2, 3], Conv2dConfig::default().groups(2).bias(false), vb.pp("conv2"))?)
        .add(AvgPool2d::new([3, 2]))
        .add(Flatten::default())
        .add(Dropout::new(0.25))
        .add(Linear::new(12, 3, vb.pp("fc"))?))
}

/// Numbers without symmetry: `sin(1), sin(2), …`.
fn images(dtype: DType) -> Tensor {
    let values = (1..=2 * 2 * 9 * 8).map(|i| f64::from(i).sin()).collect();
    Tensor::from_vec(values, (2, 2, 9, 8), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

#[test]
fn every_parameter_gets_a_gradient() {
    let store = VarStore::new(3, DType::F32, &Device::Cpu);
    let net = net(store.builder()).unwrap();
    let grads =
        net.train(3, 0, 0).forward(&images(DType::F32)).unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let vars = store.vars();
    assert_eq!(vars.len(), 5);
    for (name, var) in vars {
        let grad = grads.get(&var).unwrap_or_else(|| panic!("{name} gets no gradient"));
        assert_eq!(grad.shape(), var.shape(), "{name}");
        let largest = grad.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(largest > 1e-4, "{name}: {largest}");
    }
}

#[test]
fn the_networks_gradient_is_its_finite_difference() {
    let store = VarStore::new(3, DType::F64, &Device::Cpu);
    net(store.builder()).unwrap();
    let (names, mut inputs): (Vec<_>, Vec<_>) =
        store.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).unzip();
    inputs.push(images(DType::F64));
    let f = |inputs: &[Tensor]| {
        let tensors: HashMap<_, _> = names.iter().cloned().zip(inputs.iter().cloned()).collect();
        let net = net(VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu))?;
        net.train(3, 1, 0).forward(&inputs[names.len()])
    };
    GradCheck::new("network").check(f, &inputs).unwrap().assert_passed();
}
