//! Train convolutional networks on [candle](candle_core): operators, layers and a trainer, with gradients that are
//! proven.
//!
//! taper stays on candle's [`Tensor`], [`Var`], [`VarBuilder`] and [`Module`]. It brings what candle lacks for training
//! such networks: convolution, pooling and dropout whose gradients hold against finite differences, layers with
//! PyTorch's names and initialisation, and a trainer that resumes to the bit.
//!
//! | room | what lives there |
//! |---|---|
//! | [`ops`] | differentiable functions of tensors; no parameters, no state |
//! | [`layers`] | what owns parameters, drop-in beside candle-nn |
//! | [`trainer`] | data, optimisers, schedules, metrics, the loop, checkpoints |
//!
//! How convolution and pooling relate, with pictures: [`convolution_and_pooling`].
//!
//! # A tour
//!
//! A network is a struct of layers, made over a [`VarBuilder`], and implements [`Layer`](layers::Layer):
//!
//! ```
//! use taper::prelude::*;
//!
//! struct Net {
//!     conv1: Conv2d,
//!     bn1: BatchNorm2d,
//!     conv2: Conv2d,
//!     pool: MaxPool2d,
//!     dropout: Dropout,
//!     fc: Linear,
//! }
//!
//! impl Net {
//!     fn new(vb: VarBuilder<'_>) -> taper::Result<Self> {
//!         Ok(Self {
//!             conv1: Conv2d::new(1, 4, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?,
//!             bn1: BatchNorm2d::new(4, BatchNormConfig::default(), vb.pp("bn1"))?,
//!             conv2: Conv2d::new(4, 8, 3, Conv2dConfig::default().padding(1), vb.pp("conv2"))?,
//!             pool: MaxPool2d::new(2),
//!             dropout: Dropout::new(0.25),
//!             fc: Linear::new(8 * 3 * 3, 2, vb.pp("fc"))?,
//!         })
//!     }
//! }
//!
//! impl Layer for Net {
//!     fn forward_in(&self, x: &Tensor, mode: &Mode) -> taper::Result<Tensor> {
//!         let x = self.bn1.forward_in(&self.conv1.forward(x)?, mode)?;
//!         let x = self.pool.forward(&relu(&x)?)?;
//!         let x = self.pool.forward(&relu(&self.conv2.forward(&x)?)?)?;
//!         let x = self.dropout.forward_in(&flatten(&x, 1)?, mode)?;
//!         self.fc.forward(&x)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Pictures of 12 × 12 pixels with one line in them, across (class 0) or down (class 1).
//! let line = |class: usize, place: usize| {
//!     (0..144).map(move |i| if [i / 12, i % 12][class] == place { 255 } else { 0 })
//! };
//! let lines = |places: &[usize]| {
//!     let pixels = places.iter().flat_map(|&place| line(0, place).chain(line(1, place))).collect();
//!     let classes = places.iter().flat_map(|_| [0, 1]).collect();
//!     InMemoryDataset::from_pixels(pixels, &[1, 12, 12], classes)
//! };
//! let train = Loader::new(lines(&[0, 1, 3, 4, 6, 7, 9, 11])?, 4)?.seed(42).shuffle(true);
//! let test = Loader::new(lines(&[2, 5, 8, 10])?, 8)?;
//!
//! // The seed fixes every bit of what follows, whatever the order of construction and the number of threads.
//! let store = VarStore::new(42, DType::F32, &Device::Cpu);
//! let net = Net::new(store.builder())?;
//! println!("{}", summary(&net, (1, 1, 12, 12), DType::F32, &Device::Cpu)?);
//!
//! let epochs = 20;
//! let mut trainer = Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode))
//!     .buffers(store.buffers())
//!     .optimizer(AdamW::default())
//!     .schedule(OneCycle::new(0.02, epochs * train.batches_per_epoch()))
//!     .epochs(epochs)
//!     .seed(42);
//! trainer.fit(&train, Some(&test))?;
//! assert_eq!(trainer.evaluate(&test)?.overall.accuracy, Some(1.0));
//!
//! // In evaluation nothing is random, and batch normalisation uses its running statistics, the store's buffers; in
//! // training, dropout draws from (seed, step), so that a step can be repeated.
//! let batch = Tensor::rand(0f32, 1.0, (3, 1, 12, 12), &Device::Cpu)?;
//! assert_eq!(net.eval().forward(&batch)?.dims(), [3, 2]);
//! let (seed, step) = (42, 7);
//! let view = net.train(seed, step, 0);
//! assert_eq!(view.forward(&batch)?.to_vec2::<f32>()?, view.forward(&batch)?.to_vec2::<f32>()?);
//! # Ok(())
//! # }
//! ```
//!
//! What each layer makes of an input can be [observed](layers::observe), and parameters are
//! [saved](layers::VarStore::save) and [loaded](layers::VarStore::load) as safetensors under PyTorch's names.

#[cfg(feature = "gradcheck")]
pub use taper_gradcheck as gradcheck;
pub use taper_layers as layers;
pub use taper_ops as ops;
pub use taper_trainer as trainer;

pub use candle_core::{DType, Device, Error, Module, Result, Tensor, Var};
pub use candle_nn::VarBuilder;

/// The CUDA device number `ordinal`, counted from 0.
///
/// # Errors
/// In one line, where this is built without the feature `cuda`, or where there is no such device or no driver for it.
///
/// ```
/// # if !cfg!(feature = "cuda") {
/// let error = taper::cuda_device(0).unwrap_err();
/// assert!(error.to_string().contains("--features cuda"));
/// # }
/// ```
pub fn cuda_device(ordinal: usize) -> Result<Device> {
    if !cfg!(feature = "cuda") {
        return Err(Error::Msg("built without the feature `cuda`: build with `--features cuda`".into()));
    }
    Device::new_cuda(ordinal).map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().next().unwrap_or_default();
        Error::Msg(format!("CUDA device {ordinal} does not start ({reason}): look at what `nvidia-smi` says"))
    })
}

/// What a program that defines and trains a network uses.
pub mod prelude {
    pub use crate::layers::{
        AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormConfig, Conv1d, Conv1dConfig,
        Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvTranspose2d, ConvTranspose2dConfig, Dropout, Dropout2d,
        Flatten, GELU, GroupNorm, GroupNormConfig, Layer, LayerNorm, LayerNormConfig, LeakyReLU, Linear, MaxPool2d,
        ReLU, Sequential, SiLU, Sigmoid, Softmax, Tanh, Upsample2d, VarStore, draw, observe, observe_outputs, summary,
    };
    pub use crate::ops::{
        AvgPoolSpec, ConvSpec, CrossEntropySpec, InterpolateMode, MaxPoolSpec, Mode, Padding, avg_pool2d, backward,
        backward_with, conv2d, cross_entropy, dropout, flatten, linear, max_pool2d, relu,
    };
    pub use crate::trainer::data::{
        Dataset, InMemoryDataset, Loader, Normalize, RandomAffine, RandomCrop, RandomHorizontalFlip, random_split,
    };
    pub use crate::trainer::optim::{Adam, AdamConfig, AdamW, AdamWConfig, ParamGroup, Sgd, SgdConfig};
    pub use crate::trainer::schedule::{CosineAnnealing, OneCycle, ReduceOnPlateau, Warmup};
    pub use crate::trainer::{
        Checkpoints, CsvLog, EarlyStopping, Ema, HtmlReport, JsonLines, LrFinder, Metric, Monitor, Progress,
        TensorBoard, Trainer,
    };
    pub use crate::{DType, Device, Module, Tensor, Var, VarBuilder};
}

#[doc = include_str!("convolution_and_pooling.md")]
pub mod convolution_and_pooling {}

/// The README's program, compiled by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
