//! How an operator runs on a CUDA device: the counterpart of `storage.rs`.
//!
//! An operator's `cuda` method takes [`View`]s of its inputs, allocates [`Buffer`]s and launches [`Kernel`]s through a
//! [`Gpu`], which knows the device and the element type. A kernel is a text file beside its operator; the device's driver
//! compiles it at run time, once for each element type that asks, so that a build of this crate needs no CUDA compiler.
//! In half precision kernels read and write 16 bits and compute in float32.
//!
//! What launches is `driver.rs`, with the feature `cuda`; or, in this crate's tests, [`emulation`](crate::emulation): the same
//! launches of the same kernels, compiled as C++ for the CPU.

mod buffer;
#[cfg(feature = "cuda")]
mod driver;
mod launch;

pub(crate) use buffer::{Buffer, Memory, MemoryMut, Owned, View, ViewMut};
#[cfg(feature = "cuda")]
pub(crate) use driver::{pointer, pointer_mut};
pub(crate) use launch::{Arg, Gpu, Kernel, Work};
#[cfg(any(feature = "cuda", feature = "emulate"))]
pub(crate) use launch::{Argument, Launch};

use crate::operator::Operator;
use crate::storage::SUPPORTED;
use crate::{Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Device, Layout, Shape, Storage, Tensor};

/// Runs `operator` on candle's storages on a device.
pub(crate) fn run<const N: usize, O: Operator<N>>(
    operator: &O,
    inputs: [(&CudaStorage, &Layout); N],
) -> candle_core::Result<(CudaStorage, Shape)> {
    let device = Device::Cuda(inputs[0].0.device().clone());
    let inputs = inputs.map(|(storage, layout)| (Memory::Device(storage), layout));
    match run_on(device, operator, inputs)?.storage {
        Owned::Device(storage) => Ok((storage, operator.shape())),
        Owned::Host(_) => Err(Error::OtherDevice { op: operator.name() }.into()),
    }
}

/// Runs `operator` as on a device, on the CPU.
#[cfg(feature = "emulate")]
pub(crate) fn emulate<const N: usize, O: Operator<N>>(
    operator: &O,
    inputs: [(&CpuStorage, &Layout); N],
) -> candle_core::Result<(CpuStorage, Shape)> {
    let inputs = inputs.map(|(storage, layout)| (Memory::Host(storage), layout));
    match run_on(Device::Cpu, operator, inputs)?.storage {
        Owned::Host(storage) => Ok((storage, operator.shape())),
        Owned::Device(_) => Err(Error::OtherDevice { op: operator.name() }.into()),
    }
}

fn run_on<const N: usize, O: Operator<N>>(
    device: Device,
    operator: &O,
    inputs: [(Memory<'_>, &Layout); N],
) -> Result<Buffer> {
    let op = operator.name();
    let dtypes = inputs.map(|(memory, _)| memory.dtype());
    if let Some(&right) = dtypes.iter().find(|&&dtype| dtype != dtypes[0]) {
        return Err(Error::DTypeMismatch { op, left: dtypes[0], right });
    }
    if !matches!(dtypes[0], DType::BF16 | DType::F16 | DType::F32 | DType::F64) {
        return Err(Error::DType { op, dtype: dtypes[0], supported: SUPPORTED });
    }
    let gpu = Gpu::new(device, dtypes[0]);
    let mut copies: [Option<Buffer>; N] = [const { None }; N];
    for (copy, (memory, layout)) in copies.iter_mut().zip(inputs) {
        *copy = row_major(&gpu, memory, layout)?;
    }
    operator.cuda(&gpu, std::array::from_fn(|i| view(copies[i].as_ref(), inputs[i])))
}

/// Whether operators on tensors of `device` launch kernels.
pub(crate) fn runs_on(device: &Device) -> bool {
    #[cfg(feature = "emulate")]
    let emulated = crate::emulation::is_on();
    #[cfg(not(feature = "emulate"))]
    let emulated = false;
    device.is_cuda() || emulated
}

/// The elements of `tensor` in row-major order, in memory of their own.
pub(crate) fn copy(op: &'static str, tensor: &Tensor) -> Result<Buffer> {
    let (storage, layout) = tensor.storage_and_layout();
    Gpu::new(tensor.device().clone(), tensor.dtype()).row_major(memory(op, &storage)?, layout)
}

/// Calls `f` with `device`, which `tensor` is on, and the elements of `tensor` in row-major order.
pub(crate) fn on_device<R>(
    op: &'static str,
    device: Device,
    tensor: &Tensor,
    f: impl FnOnce(&Gpu, View<'_>) -> Result<R>,
) -> Result<R> {
    let gpu = Gpu::new(device, tensor.dtype());
    let (storage, layout) = tensor.storage_and_layout();
    let memory = memory(op, &storage)?;
    let copy = row_major(&gpu, memory, layout)?;
    f(&gpu, view(copy.as_ref(), (memory, layout)))
}

fn memory<'a>(op: &'static str, storage: &'a Storage) -> Result<Memory<'a>> {
    match storage {
        Storage::Cpu(storage) => Ok(Memory::Host(storage)),
        Storage::Cuda(storage) => Ok(Memory::Device(storage)),
        Storage::Metal(_) => Err(Error::OtherDevice { op }),
    }
}

/// A copy of the elements of `layout` in row-major order, where they do not lie so already.
fn row_major(gpu: &Gpu, memory: Memory<'_>, layout: &Layout) -> Result<Option<Buffer>> {
    layout.contiguous_offsets().is_none().then(|| gpu.row_major(memory, layout)).transpose()
}

/// The elements of the copy, or, where none was needed, of the memory itself.
fn view<'a>(copy: Option<&'a Buffer>, (memory, layout): (Memory<'a>, &Layout)) -> View<'a> {
    let own = || View { memory, start: layout.start_offset(), len: layout.shape().elem_count() };
    copy.map_or_else(own, Buffer::view)
}

/// A tensor of `shape` of what `f` leaves in the memory of the device that `like` is on; candle has no other way to make one.
pub(crate) fn tensor(like: &Tensor, shape: &Shape, f: impl Fn(&Gpu) -> Result<Buffer>) -> candle_core::Result<Tensor> {
    like.apply_op1_no_bwd(&Made { shape, f })
}

struct Made<'a, F> {
    shape: &'a Shape,
    f: F,
}

impl<F: Fn(&Gpu) -> Result<Buffer>> CustomOp1 for Made<'_, F> {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn cpu_fwd(&self, like: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        match (self.f)(&Gpu::new(Device::Cpu, like.dtype()))?.storage {
            Owned::Host(storage) => Ok((storage, self.shape.clone())),
            Owned::Device(_) => Err(Error::OtherDevice { op: self.name() }.into()),
        }
    }

    fn cuda_fwd(&self, like: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        match (self.f)(&Gpu::new(Device::Cuda(like.device().clone()), like.dtype()))?.storage {
            Owned::Device(storage) => Ok((storage, self.shape.clone())),
            Owned::Host(_) => Err(Error::OtherDevice { op: self.name() }.into()),
        }
    }
}
