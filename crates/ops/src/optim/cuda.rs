//! The launches of the optimisers' steps.

use crate::cuda::{Arg, Gpu, Kernel, Memory, MemoryMut, View, ViewMut, Work};
use crate::{Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::{Device, Storage, Tensor};

static KERNEL: Kernel = Kernel::new("optim", include_str!("kernel.cu"));

/// Runs `function`, which takes the gradient, the variables, their length and the numbers.
pub(super) fn run(
    op: &'static str,
    grad: &Tensor,
    vars: Vec<ViewMut<'_>>,
    (function, numbers): (&'static str, Vec<f64>),
) -> Result<()> {
    let device = match vars.first().map(|var| &var.memory) {
        Some(MemoryMut::Device(storage)) => Device::Cuda(storage.device().clone()),
        _ => Device::Cpu,
    };
    let gpu = Gpu::new(device, grad.dtype());
    let (storage, layout) = grad.storage_and_layout();
    let memory = match &*storage {
        Storage::Cpu(storage) => Memory::Host(storage),
        Storage::Cuda(storage) => Memory::Device(storage),
        Storage::Metal(_) => return Err(Error::OtherDevice { op }),
    };
    let n = layout.shape().elem_count();
    let copy = layout.contiguous_offsets().is_none().then(|| gpu.row_major(memory, layout)).transpose()?;
    let grad = copy.as_ref().map_or(View { memory, start: layout.start_offset(), len: n }, |copy| copy.view());
    let vars = vars.into_iter().map(Arg::Update);
    let numbers = numbers.into_iter().map(Arg::Real);
    let args = [Arg::In(grad)].into_iter().chain(vars).chain([Arg::Size(n)]).chain(numbers).collect();
    gpu.launch(&KERNEL, function, Work::Each(n), args)
}
