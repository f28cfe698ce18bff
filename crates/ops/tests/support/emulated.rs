//! CUDA kernels, run on the CPU: in what ways, and which operators have them.

use super::layouts::integers;
use super::pooling::bits;
use candle_core::{DType, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use taper_cuda_emulator::{Emulator, Order};

/// The operators that reference vectors call and that have no CUDA kernel yet, nor perhaps their gradients.
const WITHOUT_KERNELS: &[&str] = &[
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "celu",
    "cross_entropy",
    "elu",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d_with_indices",
    "gelu",
    "gelu_tanh",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
];

/// A way to run kernels, another for each number.
pub fn nth(number: usize) -> Emulator {
    let order = match number % 3 {
        0 => Order::LowestFirst,
        1 => Order::HighestFirst,
        _ => Order::Random(number as u32),
    };
    Emulator { block: [1, 7, 32, 48, 64, 96][number % 6], grid: [1, 2, 5][number % 3], order, wide: number % 5 == 4 }
}

pub fn emulators() -> impl Strategy<Value = Emulator> {
    let order = prop_oneof![Just(Order::LowestFirst), Just(Order::HighestFirst), any::<u32>().prop_map(Order::Random)];
    (select(&[1, 7, 32, 48, 64, 256][..]), 1..5u32, order, any::<bool>())
        .prop_map(|(block, grid, order, wide)| Emulator { block, grid, order, wide })
}

/// Asserts that only operators without kernels kept a reference vector from being held.
pub fn expect_held(held: Result<(), String>) {
    if let Err(error) = held {
        let named =
            error.strip_suffix(": has no CUDA kernel; move its tensors to the CPU with `to_device(&Device::Cpu)`");
        assert!(named.is_some_and(|op| WITHOUT_KERNELS.contains(&op)), "{error}");
    }
}

/// The element types that kernels read and write.
pub const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

/// A function of tensors.
pub type Function<'a> = &'a dyn Fn(&[Tensor]) -> taper_ops::Result<Tensor>;

/// The bits of the output of `f`, and of the gradients of its inputs for a cotangent of small integers.
fn with_gradients(inputs: &[Var], f: Function<'_>) -> taper_ops::Result<Vec<Vec<u64>>> {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let dy = integers(y.dims(), 3).to_dtype(y.dtype())?;
    let grads = (&y * dy)?.sum_all()?.backward()?;
    Ok([&y].into_iter().chain(inputs.iter().map(|input| grads.get(input).unwrap())).map(bits).collect())
}

/// Asserts that `f` and its gradients have the same bits by its kernels.
pub fn same_bits(emulator: Emulator, inputs: &[Tensor], f: Function<'_>) {
    let inputs: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let expected = with_gradients(&inputs, f).unwrap();
    assert_eq!(emulator.run(|| with_gradients(&inputs, f)).unwrap(), expected);
}
