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
//! | [`trainer`] | data, optimisers, schedules, the loop, checkpoints |
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
//!     conv2: Conv2d,
//!     pool: MaxPool2d,
//!     dropout: Dropout,
//!     fc: Linear,
//! }
//!
//! impl Net {
//!     fn new(vb: VarBuilder<'_>) -> taper::Result<Self> {
//!         Ok(Self {
//!             conv1: Conv2d::new(1, 8, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?,
//!             conv2: Conv2d::new(8, 16, 3, Conv2dConfig::default(), vb.pp("conv2"))?,
//!             pool: MaxPool2d::new(2),
//!             dropout: Dropout::new(0.5),
//!             fc: Linear::new(16 * 6 * 6, 10, vb.pp("fc"))?,
//!         })
//!     }
//! }
//!
//! impl Layer for Net {
//!     fn forward_in(&self, x: &Tensor, mode: &Mode) -> taper::Result<Tensor> {
//!         let x = self.pool.forward(&relu(&self.conv1.forward(x)?)?)?;
//!         let x = self.pool.forward(&relu(&self.conv2.forward(&x)?)?)?;
//!         let x = self.dropout.forward_in(&x.flatten_from(1)?, mode)?;
//!         self.fc.forward(&x)
//!     }
//! }
//!
//! // The seed fixes every initial bit, whatever the order of construction.
//! let store = VarStore::new(42, DType::F32, &Device::Cpu);
//! let net = Net::new(store.builder())?;
//! println!("{}", summary(&net, (1, 1, 28, 28), DType::F32, &Device::Cpu)?);
//!
//! // One step by hand: dropout draws from (seed, step), so the step can be repeated to the bit.
//! let (seed, step) = (42, 0);
//! let images = Tensor::rand(0f32, 1.0, (4, 1, 28, 28), &Device::Cpu)?;
//! let labels = Tensor::new(&[3u32, 1, 4, 1], &Device::Cpu)?;
//! let scores = net.train(seed, step, 0).forward(&images)?;
//! let loss = cross_entropy(&scores, &labels, &CrossEntropySpec::default())?;
//! let gradients = loss.backward()?;
//! for (name, var) in store.vars() {
//!     assert!(gradients.get(&var).is_some(), "{name}");
//!     var.set(&(var.as_tensor() - gradients.get(&var).unwrap() * 0.1)?)?;
//! }
//!
//! // In evaluation nothing is random.
//! let scores = net.eval().forward(&images)?;
//! assert_eq!(scores.dims(), [4, 10]);
//! # Ok::<(), taper::Error>(())
//! ```
//!
//! What each layer makes of an input can be [observed](layers::observe), and parameters are
//! [saved](layers::VarStore::save) and [loaded](layers::VarStore::load) as safetensors under PyTorch's names.

pub use taper_layers as layers;
pub use taper_ops as ops;
pub use taper_trainer as trainer;

pub use candle_core::{DType, Device, Error, Module, Result, Tensor, Var};
pub use candle_nn::VarBuilder;

/// What a program that defines and trains a network uses.
pub mod prelude {
    pub use crate::layers::{
        AvgPool2d, Conv2d, Conv2dConfig, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, VarStore,
        observe, summary,
    };
    pub use crate::ops::{
        AvgPoolSpec, ConvSpec, CrossEntropySpec, MaxPoolSpec, Mode, Padding, avg_pool2d, conv2d, cross_entropy,
        dropout, linear, max_pool2d, relu,
    };
    pub use crate::{DType, Device, Module, Tensor, Var, VarBuilder};
}
