//! What runs CUDA kernels in tests, in what ways, and with what bits.

use super::golden::close;
use super::layouts::{integers, values};
use super::pooling::bits;
use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::OnceLock;
use taper_cuda_emulator::{Emulator, Order};

/// What runs kernels: a device where one is named, else an emulator on the CPU.
#[derive(Debug, Clone, Copy)]
pub enum Kernels {
    Emulated(Emulator),
    Device(&'static Device),
}

impl Kernels {
    /// The device that `TAPER_TEST_DEVICE=cuda` asks for; tests fail where it cannot be had.
    fn device() -> Option<&'static Device> {
        static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
        let open = || match std::env::var("TAPER_TEST_DEVICE") {
            Ok(name) if name == "cuda" => Some(Device::new_cuda(0).unwrap()),
            Ok(name) => panic!("TAPER_TEST_DEVICE={name}: `cuda` is the only one"),
            Err(_) => None,
        };
        DEVICE.get_or_init(open).as_ref()
    }

    /// The device where one is named, else this emulator.
    pub fn or_device(emulator: Emulator) -> Self {
        Self::device().map_or(Self::Emulated(emulator), Self::Device)
    }

    /// The tensor where the kernels read it.
    pub fn place(self, tensor: &Tensor) -> Tensor {
        match self {
            Self::Emulated(_) => tensor.clone(),
            Self::Device(device) => tensor.to_device(device).unwrap(),
        }
    }

    /// Calls `f`, whose operators run by their kernels where their tensors were placed.
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self {
            Self::Emulated(emulator) => emulator.run(f),
            Self::Device(_) => f(),
        }
    }
}

/// A way to run kernels, another for each number.
pub fn nth(number: usize) -> Kernels {
    let order = match number % 3 {
        0 => Order::LowestFirst,
        1 => Order::HighestFirst,
        _ => Order::Random(number as u32),
    };
    Kernels::or_device(Emulator {
        block: [1, 7, 32, 48, 64, 96][number % 6],
        grid: [1, 2, 5][number % 3],
        order,
        wide: number % 5 == 4,
    })
}

pub fn emulators() -> impl Strategy<Value = Kernels> {
    let order = prop_oneof![Just(Order::LowestFirst), Just(Order::HighestFirst), any::<u32>().prop_map(Order::Random)];
    (select(&[1, 7, 32, 48, 64, 256][..]), 1..5u32, order, any::<bool>())
        .prop_map(|(block, grid, order, wide)| Kernels::or_device(Emulator { block, grid, order, wide }))
}

/// The element types that kernels read and write.
pub const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

/// A function of tensors.
pub type Function<'a> = &'a dyn Fn(&[Tensor]) -> taper_ops::Result<Tensor>;

/// A function that another thread may call.
pub type SharedFunction<'a> = &'a (dyn Fn(&[Tensor]) -> taper_ops::Result<Tensor> + Sync);

/// The output of `f`, and the gradients of its inputs for a cotangent of small integers.
fn with_gradients(inputs: &[Var], f: Function<'_>) -> taper_ops::Result<Vec<Tensor>> {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let dy = integers(y.dims(), 3).to_device(y.device())?.to_dtype(y.dtype())?;
    let grads = (&y * dy)?.sum_all()?.backward()?;
    Ok([y].into_iter().chain(inputs.iter().map(|input| grads.get(input).unwrap().clone())).collect())
}

/// What `f` and its gradients are on the CPU and by its kernels.
fn both(kernels: Kernels, inputs: &[Tensor], f: Function<'_>) -> (Vec<Tensor>, Vec<Tensor>) {
    let expected = with_gradients(&vars(inputs, Tensor::clone), f).unwrap();
    let placed = vars(inputs, |input| kernels.place(input));
    (kernels.run(|| with_gradients(&placed, f)).unwrap(), expected)
}

/// Asserts that `f` and its gradients have the same bits by its kernels.
pub fn same_bits(kernels: Kernels, inputs: &[Tensor], f: Function<'_>) {
    let (found, expected) = both(kernels, inputs, f);
    expect_bits(&found, &expected);
}

/// Asserts what [`same_bits`] does of kernels; on a device, where a library may choose its algorithm and round as that does,
/// that values agree within `8 * the type's epsilon * (|value| + their root mean square)`.
pub fn agree(kernels: Kernels, inputs: &[Tensor], f: Function<'_>) {
    let (found, expected) = both(kernels, inputs, f);
    expect_agreement(kernels, &found, &expected);
}

/// Asserts that the derivatives of the gradients of `f` have the same bits by their kernels.
pub fn same_bits_twice(kernels: Kernels, inputs: &[Tensor], f: SharedFunction<'_>) {
    let (found, expected) = both_twice(kernels, inputs, f);
    expect_bits(&found, &expected);
}

/// Asserts of the derivatives of the gradients of `f` what [`agree`] does of the gradients.
pub fn agree_twice(kernels: Kernels, inputs: &[Tensor], f: SharedFunction<'_>) {
    let (found, expected) = both_twice(kernels, inputs, f);
    expect_agreement(kernels, &found, &expected);
}

fn expect_bits(found: &[Tensor], expected: &[Tensor]) {
    let bits = |tensors: &[Tensor]| -> Vec<Vec<u64>> { tensors.iter().map(bits).collect() };
    assert_eq!(bits(found), bits(expected));
}

fn expect_agreement(kernels: Kernels, found: &[Tensor], expected: &[Tensor]) {
    if let Kernels::Emulated(_) = kernels {
        return expect_bits(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let epsilon = match expected.dtype() {
            DType::F64 => f64::EPSILON,
            DType::F16 => half::f16::EPSILON.to_f64(),
            DType::BF16 => half::bf16::EPSILON.to_f64(),
            _ => f64::from(f32::EPSILON),
        };
        close("on the device", &found.to_device(&Device::Cpu).unwrap(), expected, 8. * epsilon);
    }
}

/// The derivatives of the gradients of `f`, by its inputs and by the cotangent; those that there are.
fn second_derivatives(inputs: &[Var], f: Function<'_>) -> taper_ops::Result<Vec<Tensor>> {
    let tensors: Vec<Tensor> = inputs.iter().map(|input| input.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    let dy = Var::from_tensor(&integers(y.dims(), 3).to_device(y.device())?.to_dtype(y.dtype())?)?;
    let grads = (&y * dy.as_tensor())?.sum_all()?.backward()?;
    let mut sum = Tensor::zeros((), y.dtype(), y.device())?;
    for (i, input) in inputs.iter().enumerate() {
        let weights = integers(input.dims(), 11 + i).to_device(y.device())?.to_dtype(y.dtype())?;
        sum = (sum + (grads.get(input).unwrap() * weights)?.sum_all()?)?;
    }
    let second = sum.backward()?;
    Ok(inputs.iter().chain([&dy]).filter_map(|var| second.get(var).cloned()).collect())
}

/// What they are on the CPU and by their kernels.
fn both_twice(kernels: Kernels, inputs: &[Tensor], f: SharedFunction<'_>) -> (Vec<Tensor>, Vec<Tensor>) {
    let on_thread = || {
        let expected = second_derivatives(&vars(inputs, Tensor::clone), f).unwrap();
        let placed = vars(inputs, |input| kernels.place(input));
        (kernels.run(|| second_derivatives(&placed, f)).unwrap(), expected)
    };
    taper_gradcheck::on_attached_thread(on_thread).unwrap()
}

/// Asserts that `f` and its gradients have nearly the same values by its kernels: but for `tolerance`, of the number or of 1;
/// on a device, whose logarithms are not the CPU's, but for eight times as much.
pub fn same_values(kernels: Kernels, inputs: &[Tensor], tolerance: f64, f: Function<'_>) {
    let tolerance = if let Kernels::Device(_) = kernels { 8. * tolerance } else { tolerance };
    let (found, expected) = both(kernels, inputs, f);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.dims(), expected.dims());
        for (found, expected) in values(found).into_iter().zip(values(expected)) {
            let near = (found - expected).abs() <= tolerance * expected.abs().max(1.);
            assert!(
                near || found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{found:e}, not {expected:e}"
            );
        }
    }
}

fn vars(inputs: &[Tensor], place: impl Fn(&Tensor) -> Tensor) -> Vec<Var> {
    inputs.iter().map(|input| Var::from_tensor(&place(input)).unwrap()).collect()
}
