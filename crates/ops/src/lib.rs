//! Differentiable operators for candle tensors: convolution, pooling, dropout and what a convolutional network needs
//! beside them, each with a gradient that is proven.
//!
//! An operator is a function of tensors: it owns no parameters and keeps nothing between calls. One family lives in one
//! folder, with the same file names in each: `mod.rs` (the public functions), `spec.rs` (geometry, the only shape
//! checks), `autograd.rs` (which gradient, which kernel) and `cpu/` or `cpu.rs` (the arithmetic on slices).

mod activation;
mod adaptive_pool;
mod avg_pool;
mod axes;
mod classes;
mod conv;
mod cross_entropy;
#[cfg_attr(
    not(feature = "emulate"),
    allow(dead_code, reason = "a driver reads what is launched, the emulation all of it")
)]
mod cuda;
mod drop_block;
mod dropout;
mod elementwise;
#[cfg(feature = "emulate")]
#[doc(hidden)]
pub mod emulation;
mod error;
mod flatten;
mod fractional_pool;
#[cfg(test)]
#[path = "../tests/support/golden.rs"]
mod golden;
mod graph;
mod grid;
mod interpolate;
mod linear;
mod linear_map;
mod local_response_norm;
mod loss;
mod lp_pool;
mod machine;
mod math;
mod matmul;
mod max_pool;
pub mod memory;
mod mode;
mod nll_loss;
mod norm;
mod operator;
pub mod optim;
mod pad;
mod parallel;
mod pixel_shuffle;
mod planes;
mod prelu;
pub mod random;
mod rectified;
mod reduction;
mod simd;
mod softmax;
mod storage;
mod strip;
mod sums;
mod unfold;
mod unpool;
mod window;

pub use activation::{
    celu, elu, gelu, gelu_tanh, glu, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, logsigmoid, mish, relu,
    relu6, selu, sigmoid, silu, softplus, softshrink, softsign, tanh, tanhshrink, threshold,
};
pub use adaptive_pool::{
    OutputSize, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices, adaptive_max_pool2d, adaptive_max_pool2d_with_indices, adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
};
pub use avg_pool::{AvgPoolSpec, avg_pool1d, avg_pool2d, avg_pool3d};
pub use axes::Axes;
pub use conv::{ConvSpec, ConvTransposeSpec, Padding, conv1d, conv2d, conv3d};
pub use conv::{conv_transpose1d, conv_transpose2d, conv_transpose3d};
pub use conv::{conv1d_input_grad, conv1d_weight_grad, conv2d_input_grad, conv2d_weight_grad};
pub use conv::{conv3d_input_grad, conv3d_weight_grad};
pub use cross_entropy::{CrossEntropySpec, cross_entropy};
pub use drop_block::drop_block2d;
pub use dropout::{alpha_dropout, drop_path, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout};
pub use error::{Error, Result};
pub use flatten::flatten;
pub use fractional_pool::{
    FractionalMaxPoolSpec, FractionalSize, RandomSamples, fractional_max_pool2d, fractional_max_pool2d_with_indices,
    fractional_max_pool3d, fractional_max_pool3d_with_indices,
};
pub use graph::{backward, backward_with};
pub use interpolate::{InterpolateMode, Resize, interpolate1d, interpolate2d, interpolate3d};
pub use linear::linear;
pub use local_response_norm::local_response_norm;
pub use loss::{
    BinaryCrossEntropySpec, binary_cross_entropy_with_logits, huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss,
};
pub use lp_pool::{LpPoolSpec, lp_pool1d, lp_pool2d, lp_pool3d};
pub use machine::Machine;
pub use max_pool::{
    MaxPoolSpec, max_pool1d, max_pool1d_with_indices, max_pool2d, max_pool2d_with_indices, max_pool3d,
    max_pool3d_with_indices,
};
pub use mode::{Draw, Mode};
pub use nll_loss::{NllLossSpec, nll_loss};
pub use norm::{
    ChannelStatistics, batch_norm, batch_norm_eval, batch_norm_with_statistics, group_norm, instance_norm,
    instance_norm_with_statistics, layer_norm, rms_norm,
};
pub use pad::{PadMode, pad1d, pad2d, pad3d};
pub use pixel_shuffle::{pixel_shuffle, pixel_unshuffle};
pub use prelu::prelu;
pub use rectified::{add_relu, batch_norm_relu, conv_relu, linear_relu};
pub use reduction::Reduction;
pub use softmax::{log_softmax, softmax};
pub use unfold::{UnfoldSpec, fold2d, unfold2d};
pub use unpool::{MaxUnpoolSpec, max_unpool1d, max_unpool2d, max_unpool3d};
