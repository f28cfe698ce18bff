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
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d_with_indices",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "rms_norm",
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

/// The bits of the derivatives of the gradients of `f`, by its inputs and by the cotangent.
fn second_derivatives(inputs: &[Var], f: Function<'_>) -> taper_ops::Result<Vec<Vec<u64>>> {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let dy = Var::from_tensor(&integers(y.dims(), 3).to_dtype(y.dtype())?)?;
    let grads = (&y * dy.as_tensor())?.sum_all()?.backward()?;
    let mut sum = Tensor::zeros((), y.dtype(), y.device())?;
    for (i, input) in inputs.iter().enumerate() {
        let weights = integers(input.dims(), 11 + i).to_dtype(y.dtype())?;
        sum = (sum + (grads.get(input).unwrap() * weights)?.sum_all()?)?;
    }
    let second = sum.backward()?;
    let found = inputs.iter().chain([&dy]).map(|var| second.get(var).map(bits).unwrap_or_default());
    Ok(found.collect())
}

/// Asserts that the derivatives of the gradients of `f` have the same bits by their kernels.
pub fn same_bits_twice(
    emulator: Emulator,
    inputs: &[Tensor],
    f: &(dyn Fn(&[Tensor]) -> taper_ops::Result<Tensor> + Sync),
) {
    let inputs: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let on_thread = || {
        let expected = second_derivatives(&inputs, f).unwrap();
        assert_eq!(emulator.run(|| second_derivatives(&inputs, f)).unwrap(), expected);
    };
    taper_gradcheck::on_attached_thread(on_thread).unwrap();
}

/// Asserts that `f` and its gradients have nearly the same values by its kernels: but for `tolerance`, of the number or of 1.
pub fn same_values(emulator: Emulator, inputs: &[Tensor], tolerance: f64, f: Function<'_>) {
    let inputs: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let expected = with_gradients(&inputs, f).unwrap();
    let found = emulator.run(|| with_gradients(&inputs, f)).unwrap();
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        let (found, expected) = (f64::from_bits(*found), f64::from_bits(*expected));
        let near = (found - expected).abs() <= tolerance * expected.abs().max(1.);
        assert!(near || found.to_bits() == expected.to_bits(), "{found:e}, not {expected:e}");
    }
}
