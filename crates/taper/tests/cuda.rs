//! Whole nets on a CUDA device as far as there is none: every operator of their training runs by its kernel, on the CPU, and
//! comes to the CPU's numbers but for rounding.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use taper::ops::add_relu;
use taper::prelude::*;
use taper::trainer::{History, Result};
use taper_cuda_emulator::{Emulator, Order};

/// That of `examples/mnist`.
fn mnist(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 16, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(16, 32, 3, Conv2dConfig::default().padding(1), vb.pp("conv2"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Dropout::new(0.25))
        .add(Linear::new(32 * 7 * 7, 128, vb.pp("fc1"))?)
        .add(ReLU)
        .add(Dropout::new(0.25))
        .add(Linear::new(128, 10, vb.pp("fc2"))?))
}

/// LeNet-5 with ReLU and maximum pooling.
fn lenet(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 6, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(6, 16, 5, Conv2dConfig::default(), vb.pp("conv2"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Linear::new(16 * 5 * 5, 120, vb.pp("fc1"))?)
        .add(ReLU)
        .add(Linear::new(120, 84, vb.pp("fc2"))?)
        .add(ReLU)
        .add(Linear::new(84, 10, vb.pp("fc3"))?))
}

/// A block of a residual network, between two convolutions that change the extents.
fn residual(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    let (conv, norm) = (Conv2dConfig::default().padding(1).bias(false), BatchNormConfig::default());
    Ok(Sequential::new()
        .add(Conv2d::new(1, 4, 3, conv.stride([2, 3]), vb.pp("conv1"))?)
        .add(BatchNorm2d::new(4, norm, vb.pp("bn1"))?)
        .add(ReLU)
        .add(MaxPool2d::new([1, 2]))
        .add_module("BasicBlock", BasicBlock::new(4, 6, &vb.pp("block"))?)
        .add(AdaptiveAvgPool2d::new(1))
        .add(Flatten::default())
        .add(Linear::new(6, 10, vb.pp("fc"))?))
}

struct BasicBlock {
    residual: Sequential,
    downsample: Sequential,
}

impl BasicBlock {
    fn new(from: usize, to: usize, vb: &VarBuilder<'_>) -> taper::Result<Self> {
        let (conv, norm) = (Conv2dConfig::default().bias(false), BatchNormConfig::default());
        let residual = Sequential::new()
            .add(Conv2d::new(from, to, 3, conv.padding(1).stride(2), vb.pp("conv1"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn1"))?)
            .add(ReLU)
            .add(Conv2d::new(to, to, 3, conv.padding(1), vb.pp("conv2"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn2"))?);
        let downsample = Sequential::new()
            .add(Conv2d::new(from, to, 1, conv.stride(2), vb.pp("downsample.0"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("downsample.1"))?);
        Ok(Self { residual, downsample })
    }
}

impl Layer for BasicBlock {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> taper::Result<Tensor> {
        Ok(add_relu(&self.residual.forward_in(x, mode)?, &self.downsample.forward_in(x, mode)?)?)
    }
}

type Network = fn(VarBuilder<'_>) -> taper::Result<Sequential>;

/// So many pictures of 28 × 28, no two alike.
fn pictures(count: usize) -> InMemoryDataset {
    let inputs = (0..count * 28 * 28).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.011).cos()).collect();
    InMemoryDataset::new(inputs, &[1, 28, 28], (0..count as u32).map(|i| i * 3 % 10).collect()).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The loss of three pictures in training, its gradients, and the statistics that the pass moved.
fn gradients(network: Network, dtype: DType) -> BTreeMap<String, Vec<f64>> {
    let store = VarStore::new(7, dtype, &Device::Cpu);
    let net = network(store.builder()).unwrap();
    let batch = Loader::new(pictures(3), 3).unwrap().workers(0).epoch(0, 0).next().unwrap().unwrap();
    let logits = net.forward_in(&batch.inputs.to_dtype(dtype).unwrap(), &Mode::train(7, 0, 0)).unwrap();
    let loss = cross_entropy(&logits, &batch.targets, &CrossEntropySpec::default().label_smoothing(0.1)).unwrap();
    let grads = loss.backward().unwrap();
    let mut found: BTreeMap<String, Vec<f64>> =
        store.vars().iter().map(|(name, var)| (name.clone(), values(grads.get(var).unwrap()))).collect();
    found.extend(store.buffers().iter().map(|(name, buffer)| (name.clone(), values(buffer))));
    found.insert("loss".into(), values(&loss));
    found
}

/// Asserts that no number differs by more than `bound` of its tensor's largest.
fn expect_near(found: &BTreeMap<String, Vec<f64>>, expected: &BTreeMap<String, Vec<f64>>, bound: f64) {
    assert!(found.keys().eq(expected.keys()));
    for (name, expected) in expected {
        let largest = expected.iter().fold(0., |max: f64, x| max.max(x.abs()));
        assert!(largest > 0., "{name} is 0");
        for (found, expected) in found[name].iter().zip(expected) {
            assert!((found - expected).abs() <= bound * largest, "{name}: {found:e}, not {expected:e}, of {largest:e}");
        }
    }
}

/// In float32 the CPU multiplies by Winograd's algorithm, in float64 it does not.
#[test]
fn gradients_are_those_of_the_cpu() {
    let emulator = Emulator { block: 64, grid: 40, order: Order::HighestFirst, wide: false };
    for network in [mnist, lenet, residual] {
        for (dtype, bound) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
            expect_near(&emulator.run(|| gradients(network, dtype)), &gradients(network, dtype), bound);
        }
    }
}

/// Two steps of the example's recipe, and the validation after them.
fn fit() -> Result<History> {
    let store = VarStore::new(7, DType::F32, &Device::Cpu);
    let net = mnist(store.builder()).unwrap();
    let (train, validation) = (Loader::new(pictures(4), 2)?.shuffle(true), Loader::new(pictures(3), 3)?);
    Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode))
        .schedule(OneCycle::new(0.004, 2))
        .seed(7)
        .fit(&train, Some(&validation))
}

#[test]
fn training_is_that_of_the_cpu() {
    let emulator = Emulator { block: 64, grid: 40, order: Order::LowestFirst, wide: false };
    let losses = |history: History| {
        let epochs = history.epochs.into_iter();
        epochs.flat_map(|epoch| [epoch.train.loss, epoch.val.unwrap().loss]).collect::<Vec<f64>>()
    };
    let (found, expected) = (losses(emulator.run(fit).unwrap()), losses(fit().unwrap()));
    assert_eq!(found.len(), 2);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-3 * expected, "{found}, not {expected}");
    }
}
