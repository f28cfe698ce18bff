//! Activation functions as layers.

mod axis;
mod fixed;
mod gelu;
mod prelu;
mod tuned;

pub use axis::{GLU, LogSoftmax, Softmax};
pub use fixed::{
    Hardsigmoid, Hardswish, LogSigmoid, Mish, ReLU, ReLU6, SELU, SiLU, Sigmoid, Softsign, Tanh, Tanhshrink,
};
pub use gelu::GELU;
pub use prelu::PReLU;
pub use tuned::{CELU, ELU, Hardshrink, Hardtanh, LeakyReLU, Softplus, Softshrink, Threshold};
