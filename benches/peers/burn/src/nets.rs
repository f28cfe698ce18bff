//! Training steps of whole nets, as a user of burn would write them.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Distribution, Int, Tensor};

/// The median time of a training step in milliseconds; `None` where the case is no net.
pub fn step(case: &str, device: &Device) -> Option<f64> {
    let (small, coloured) = ([64, 1, 28, 28], [32, 3, 32, 32]);
    Some(match case {
        "MNIST net" => train(Mnist::new(device), small, Mnist::forward, device),
        "LeNet-5" => train(LeNet::new(device), small, LeNet::forward, device),
        "LeNet-5, N = 1" => train(LeNet::new(device), [1, 1, 28, 28], LeNet::forward, device),
        "ResNet-18" => train(ResNet::new(device), coloured, ResNet::forward, device),
        _ => return None,
    })
}

fn train<M: Module>(
    net: M,
    shape: [usize; 4],
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    device: &Device,
) -> f64 {
    let x = Tensor::<4>::random(shape, Distribution::Normal(0., 1.), device);
    let targets = Tensor::<1, Int>::arange(0..shape[0] as i64, device).remainder_scalar(10);
    let loss = CrossEntropyLossConfig::new().init(device);
    let mut optimizer = AdamWConfig::new().init();
    let mut net = Some(net);
    crate::median_ms(|| {
        if let Some(now) = net.take() {
            let loss = loss.forward(forward(&now, x.clone()), targets.clone());
            let grads = GradientsParams::from_grads(loss.backward(), &now);
            net = Some(optimizer.step(1e-4, now, grads));
        }
    })
}

fn conv(from: usize, to: usize, kernel: usize, padding: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(padding, padding, padding, padding);
    Conv2dConfig::new([from, to], [kernel, kernel]).with_padding(padding).init(device)
}

fn linear(from: usize, to: usize, device: &Device) -> Linear {
    LinearConfig::new(from, to).init(device)
}

fn pool(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([2, 2]))
}

#[derive(Module, Debug)]
struct Mnist {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Mnist {
    fn new(device: &Device) -> Self {
        Self {
            conv1: conv(1, 32, 3, 0, device),
            conv2: conv(32, 64, 3, 0, device),
            fc1: linear(64 * 12 * 12, 128, device),
            fc2: linear(128, 10, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.conv1.forward(x));
        let x = pool(relu(self.conv2.forward(x))).flatten::<2>(1, 3);
        self.fc2.forward(relu(self.fc1.forward(x)))
    }
}

#[derive(Module, Debug)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    fn new(device: &Device) -> Self {
        Self {
            conv1: conv(1, 6, 5, 2, device),
            conv2: conv(6, 16, 5, 0, device),
            fc1: linear(16 * 5 * 5, 120, device),
            fc2: linear(120, 84, device),
            fc3: linear(84, 10, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = pool(relu(self.conv1.forward(x)));
        let x = pool(relu(self.conv2.forward(x))).flatten::<2>(1, 3);
        self.fc3.forward(relu(self.fc2.forward(relu(self.fc1.forward(x)))))
    }
}

/// A convolution without bias, and batch normalisation.
#[derive(Module, Debug)]
struct Normed {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Normed {
    fn new(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let padding = kernel / 2;
        let padding = PaddingConfig2d::Explicit(padding, padding, padding, padding);
        let conv = Conv2dConfig::new([from, to], [kernel, kernel]).with_stride([stride, stride]);
        Self {
            conv: conv.with_padding(padding).with_bias(false).init(device),
            norm: BatchNormConfig::new(to).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block {
    first: Normed,
    second: Normed,
    downsample: Option<Normed>,
}

#[derive(Module, Debug)]
struct ResNet {
    stem: Normed,
    blocks: Vec<Block>,
    fc: Linear,
}

impl ResNet {
    fn new(device: &Device) -> Self {
        let (mut blocks, mut from) = (Vec::new(), 64);
        for (to, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
            blocks.push(Block {
                first: Normed::new(from, to, 3, stride, device),
                second: Normed::new(to, to, 3, 1, device),
                downsample: ((from, stride) != (to, 1)).then(|| Normed::new(from, to, 1, stride, device)),
            });
            from = to;
        }
        Self { stem: Normed::new(3, 64, 3, 1, device), blocks, fc: linear(512, 10, device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(relu(self.stem.forward(x)), |x, block| {
            let y = block.second.forward(relu(block.first.forward(x.clone())));
            relu(y + block.downsample.as_ref().map_or(x.clone(), |downsample| downsample.forward(x)))
        });
        self.fc.forward(x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3))
    }
}
