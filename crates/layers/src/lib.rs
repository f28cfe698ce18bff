//! Layers that own parameters, drop-in beside candle-nn, with PyTorch's state-dict names, shapes and initialisation.
//!
//! A network is built over a [`VarStore`], whose seed fixes every initial bit, and runs in a mode: [`Layer::eval`] and
//! [`Layer::train`] are its two views. [`observe`] sees what each layer makes of an input.

mod activation;
mod conv;
mod conv_transpose;
mod draw;
mod dropout;
mod error;
mod fuse;
mod layer;
mod linear;
mod norm;
mod observe;
mod padding;
mod parameters;
mod pool;
mod sequential;
mod shape;
mod store;
mod summary;
mod unfold;
mod upsample;

pub use activation::{
    CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, LogSigmoid, LogSoftmax, Mish, PReLU,
    ReLU, ReLU6, SELU, SiLU, Sigmoid, Softmax, Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use conv::{Conv, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvConfig};
pub use conv_transpose::{
    ConvTranspose, ConvTranspose1d, ConvTranspose1dConfig, ConvTranspose2d, ConvTranspose2dConfig, ConvTranspose3d,
    ConvTranspose3dConfig, ConvTransposeConfig,
};
pub use draw::draw;
pub use dropout::{AlphaDropout, DropBlock2d, DropPath, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout};
pub use error::{Differences, Error, Result};
pub use layer::{Eval, Layer, ModuleTLayer, Train};
pub use linear::Linear;
pub use norm::{
    BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm,
    InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormConfig, LayerNorm, LayerNormConfig, LocalResponseNorm,
    LocalResponseNormConfig, RMSNorm, RMSNormConfig,
};
pub use observe::{Cost, LayerCall, observe, observe_outputs};
pub use padding::{
    CircularPad, CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad, ConstantPad1d, ConstantPad2d, ConstantPad3d,
    ReflectionPad, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad, ReplicationPad1d,
    ReplicationPad2d, ReplicationPad3d, ZeroPad, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, FractionalMaxPool,
    FractionalMaxPool2d, FractionalMaxPool3d, LpPool, LpPool1d, LpPool2d, LpPool3d, MaxPool, MaxPool1d, MaxPool2d,
    MaxPool3d, MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d,
};
pub use sequential::Sequential;
pub use shape::Flatten;
pub use store::VarStore;
pub use summary::{Summary, SummaryRow, summary};
pub use unfold::{Fold, Unfold};
pub use upsample::{PixelShuffle, PixelUnshuffle, Upsample, Upsample1d, Upsample2d, Upsample3d};
