//! Training steps of whole nets, as a user would write them: forward, loss, backward, AdamW.

use crate::cases::median_ms;
use crate::{Failure, Library};
use candle_core::{DType, Device, Module, ModuleT, Result, Tensor};
use candle_nn::{Optimizer as _, VarBuilder, VarMap};
use taper_layers::{
    AdaptiveAvgPool2d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, Flatten, Layer, Linear, MaxPool2d, ReLU,
    Sequential, VarStore,
};
use taper_ops::{CrossEntropySpec, Mode, add_relu, cross_entropy};
use taper_trainer::Rates;
use taper_trainer::optim::{AdamW, Optimizer as _, gradients};

pub(crate) const NAMES: [&str; 4] = ["MNIST net", "LeNet-5", "LeNet-5, N = 1", "ResNet-18"];

/// Shape of a batch.
fn batch(case: &str) -> [usize; 4] {
    match case {
        "LeNet-5, N = 1" => [1, 1, 28, 28],
        "ResNet-18" => [32, 3, 32, 32],
        _ => [64, 1, 28, 28],
    }
}

/// The median time of a training step in milliseconds.
pub(crate) fn step(library: Library, case: &str, device: &Device) -> std::result::Result<f64, Failure> {
    let shape = batch(case);
    let x = Tensor::randn(0f32, 1., &shape, device)?;
    let targets = Tensor::from_iter((0..shape[0] as u32).map(|i| i % 10), device)?;
    match library {
        Library::Taper => taper_step(case, &x, &targets),
        Library::Candle => candle_step(case, &x, &targets),
    }
}

fn taper_step(case: &str, x: &Tensor, targets: &Tensor) -> std::result::Result<f64, Failure> {
    let store = VarStore::new(42, DType::F32, x.device());
    let vb = store.builder();
    let net = match case {
        "MNIST net" => mnist(&vb)?,
        "ResNet-18" => resnet18(&vb)?,
        _ => lenet(&vb)?,
    };
    let (vars, mut optimizer, rates) = (store.vars(), AdamW::default(), Rates::constant(1e-4));
    median_ms(|| {
        let loss = cross_entropy(&net.forward_in(x, &Mode::train(42, 0, 0))?, targets, &CrossEntropySpec::default())?;
        optimizer.step(&vars, &gradients(&loss, &vars)?, rates, 1.)?;
        Ok(x.device().synchronize()?)
    })
}

pub(crate) fn mnist(vb: &VarBuilder<'_>) -> Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 32, 3, Conv2dConfig::default(), vb.pp("conv1"))?)
        .add(ReLU)
        .add(Conv2d::new(32, 64, 3, Conv2dConfig::default(), vb.pp("conv2"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Linear::new(64 * 12 * 12, 128, vb.pp("fc1"))?)
        .add(ReLU)
        .add(Linear::new(128, 10, vb.pp("fc2"))?))
}

fn lenet(vb: &VarBuilder<'_>) -> Result<Sequential> {
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

/// Channels, and the stride of the first block, of a residual net's stages.
const STAGES: [(usize, usize); 4] = [(64, 1), (128, 2), (256, 2), (512, 2)];

/// For pictures of 32×32: the first convolution is 3×3 and no pooling follows it.
fn resnet18(vb: &VarBuilder<'_>) -> Result<Sequential> {
    let (conv, norm) = (Conv2dConfig::default().padding(1).bias(false), BatchNormConfig::default());
    let mut net = Sequential::new()
        .add(Conv2d::new(3, 64, 3, conv, vb.pp("conv1"))?)
        .add(BatchNorm2d::new(64, norm, vb.pp("bn1"))?)
        .add(ReLU);
    let mut from = 64;
    for (stage, (to, stride)) in STAGES.into_iter().enumerate() {
        for block in 0..2 {
            let vb = vb.pp(format!("layer{}.{block}", stage + 1));
            net = net.add_module("BasicBlock", Block::new(from, to, if block == 0 { stride } else { 1 }, &vb)?);
            from = to;
        }
    }
    Ok(net.add(AdaptiveAvgPool2d::new(1)).add(Flatten::default()).add(Linear::new(512, 10, vb.pp("fc"))?))
}

struct Block {
    residual: Sequential,
    downsample: Option<Sequential>,
}

impl Block {
    fn new(from: usize, to: usize, stride: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let (conv, norm) = (Conv2dConfig::default().bias(false), BatchNormConfig::default());
        let downsample = if (from, stride) == (to, 1) {
            None
        } else {
            let vb = vb.pp("downsample");
            let project = Conv2d::new(from, to, 1, conv.stride(stride), vb.pp("0"))?;
            Some(Sequential::new().add(project).add(BatchNorm2d::new(to, norm, vb.pp("1"))?))
        };
        let residual = Sequential::new()
            .add(Conv2d::new(from, to, 3, conv.stride(stride).padding(1), vb.pp("conv1"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn1"))?)
            .add(ReLU)
            .add(Conv2d::new(to, to, 3, conv.padding(1), vb.pp("conv2"))?)
            .add(BatchNorm2d::new(to, norm, vb.pp("bn2"))?);
        Ok(Self { residual, downsample })
    }
}

impl Layer for Block {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let shortcut = self.downsample.as_ref().map_or_else(|| Ok(x.clone()), |net| net.forward_in(x, mode))?;
        Ok(add_relu(&self.residual.forward_in(x, mode)?, &shortcut)?)
    }
}

fn candle_step(case: &str, x: &Tensor, targets: &Tensor) -> std::result::Result<f64, Failure> {
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F32, x.device());
    let net = match case {
        "MNIST net" => candle_mnist(&vb)?,
        "ResNet-18" => candle_resnet18(&vb)?,
        _ => candle_lenet(&vb)?,
    };
    let parameters = vars
        .data()
        .lock()
        .map_err(|_| "a poisoned lock")?
        .iter()
        .filter(|(name, _)| !name.contains("running"))
        .map(|(_, var)| var.clone())
        .collect();
    let mut optimizer = candle_nn::AdamW::new_lr(parameters, 1e-4)?;
    Ok(median_ms(|| {
        let loss = candle_nn::loss::cross_entropy(&net.forward_t(x, true)?, targets)?;
        optimizer.backward_step(&loss)?;
        x.device().synchronize()
    })?)
}

type CandleModule = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Modules in a row, in training.
struct CandleNet(Vec<CandleModule>);

impl ModuleT for CandleNet {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, module| module(&x))
    }
}

impl CandleNet {
    fn add(mut self, module: impl Fn(&Tensor) -> Result<Tensor> + 'static) -> Self {
        self.0.push(Box::new(module));
        self
    }

    fn conv(self, from: usize, to: usize, kernel: usize, padding: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let config = candle_nn::Conv2dConfig { padding, ..Default::default() };
        let conv = candle_nn::conv2d(from, to, kernel, config, vb)?;
        Ok(self.add(move |x| conv.forward(x)?.relu()))
    }

    fn linear(self, from: usize, to: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let linear = candle_nn::linear(from, to, vb)?;
        Ok(self.add(move |x| linear.forward(x)))
    }
}

fn candle_mnist(vb: &VarBuilder<'_>) -> Result<CandleNet> {
    CandleNet(Vec::new())
        .conv(1, 32, 3, 0, vb.pp("conv1"))?
        .conv(32, 64, 3, 0, vb.pp("conv2"))?
        .add(|x| x.max_pool2d(2)?.flatten_from(1))
        .linear(64 * 12 * 12, 128, vb.pp("fc1"))?
        .add(Tensor::relu)
        .linear(128, 10, vb.pp("fc2"))
}

fn candle_lenet(vb: &VarBuilder<'_>) -> Result<CandleNet> {
    CandleNet(Vec::new())
        .conv(1, 6, 5, 2, vb.pp("conv1"))?
        .add(|x| x.max_pool2d(2))
        .conv(6, 16, 5, 0, vb.pp("conv2"))?
        .add(|x| x.max_pool2d(2)?.flatten_from(1))
        .linear(16 * 5 * 5, 120, vb.pp("fc1"))?
        .add(Tensor::relu)
        .linear(120, 84, vb.pp("fc2"))?
        .add(Tensor::relu)
        .linear(84, 10, vb.pp("fc3"))
}

fn candle_resnet18(vb: &VarBuilder<'_>) -> Result<CandleNet> {
    let normed = |from: usize, to: usize, kernel: usize, stride: usize, conv: &str, norm: &str, vb: &VarBuilder<'_>| {
        let config = candle_nn::Conv2dConfig { padding: kernel / 2, stride, ..Default::default() };
        let conv = candle_nn::conv2d_no_bias(from, to, kernel, config, vb.pp(conv))?;
        let norm = candle_nn::batch_norm(to, 1e-5, vb.pp(norm))?;
        Ok::<_, candle_core::Error>(move |x: &Tensor| norm.forward_train(&conv.forward(x)?))
    };
    let stem = normed(3, 64, 3, 1, "conv1", "bn1", vb)?;
    let mut net = CandleNet(Vec::new()).add(move |x| stem(x)?.relu());
    let mut from = 64;
    for (stage, (to, stride)) in STAGES.into_iter().enumerate() {
        for block in 0..2 {
            let (vb, stride) = (vb.pp(format!("layer{}.{block}", stage + 1)), if block == 0 { stride } else { 1 });
            let first = normed(from, to, 3, stride, "conv1", "bn1", &vb)?;
            let second = normed(to, to, 3, 1, "conv2", "bn2", &vb)?;
            let down = (from, stride) != (to, 1);
            let down = down.then(|| normed(from, to, 1, stride, "downsample.0", "downsample.1", &vb)).transpose()?;
            net = net.add(move |x| {
                let y = second(&first(x)?.relu()?)?;
                let shortcut = down.as_ref().map_or_else(|| Ok(x.clone()), |down| down(x))?;
                (y + shortcut)?.relu()
            });
            from = to;
        }
    }
    net.add(|x| x.mean((2, 3))).linear(512, 10, vb.pp("fc"))
}
