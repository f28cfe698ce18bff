//! Convolution, transposed convolution, and the input and weight gradients of convolution, over one, two and three axes.

mod autograd;
mod cpu;
mod cuda;
mod forward;
mod grad;
mod spec;
mod transpose;

pub(crate) use forward::conv;
pub use forward::{conv1d, conv2d, conv3d};
pub use grad::{conv1d_input_grad, conv1d_weight_grad, conv2d_input_grad, conv2d_weight_grad};
pub use grad::{conv3d_input_grad, conv3d_weight_grad};
pub use spec::{ConvSpec, ConvTransposeSpec, Padding};
pub use transpose::{conv_transpose1d, conv_transpose2d, conv_transpose3d};
