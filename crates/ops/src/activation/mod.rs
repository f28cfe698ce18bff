//! The activations: functions applied element by element, each with its first and second derivative.

mod cpu;
mod cuda;
mod gates;
mod rectifiers;
mod smooth;
mod spec;

pub(crate) use cpu::piecewise::Relu;
pub(crate) use cpu::smooth::{Logsigmoid, Sigmoid};
pub use gates::{gelu, gelu_tanh, glu, mish, silu};
pub use rectifiers::{hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, relu, relu6, softshrink, threshold};
pub use smooth::{celu, elu, logsigmoid, selu, sigmoid, softplus, softsign, tanh, tanhshrink};
