//! Launches on a CUDA device: NVRTC compiles a kernel file when an element type first asks, candle keeps the module.

use super::buffer::{Memory, MemoryMut, View, ViewMut};
use super::{Argument, Launch, Work};
use crate::{Error, Result};
use candle_core::CudaDevice;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg, SyncOnDrop,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Threads of a block.
const BLOCK: u32 = 256;

/// Blocks of a grid at most: kernels loop over what is left. Enough to fill any device, few enough for `int` to count.
const GRID: usize = 1 << 14;

/// What NVRTC made of the kernels, by module and architecture.
static COMPILED: Mutex<Option<HashMap<String, Arc<str>>>> = Mutex::new(None);

/// Runs `launch` on the device's stream.
pub(super) fn launch(device: &CudaDevice, launch: Launch<'_>) -> Result<()> {
    let name = launch.kernel.name;
    let fault = |reason: String| Error::Cuda { op: name, reason };
    let stream = device.cuda_stream();
    let (major, minor) = stream.context().compute_capability().map_err(|error| fault(error.to_string()))?;
    let module = [&[name], launch.definitions().as_slice()].concat().join(".");
    let ptx = compiled(&launch, &module, &format!("compute_{major}{minor}"))?;
    let function = device.get_or_load_custom_func(launch.function, &module, &ptx)?;

    let mut held = Vec::with_capacity(launch.arguments.len());
    for argument in launch.arguments {
        held.push(Held::new(argument, &stream).map_err(|what| fault(what.to_string()))?);
    }
    let mut builder = function.builder();
    for argument in &held {
        match argument {
            Held::Pointer { at, .. } => builder.arg(at),
            // The driver reads as many bytes from there as the parameter has.
            Held::Value(words) => builder.arg(words.first().unwrap_or(&0)),
        };
    }
    let blocks = match launch.work {
        Work::Each(count) => count.div_ceil(BLOCK as usize),
        Work::Warps(count) => count.div_ceil((BLOCK / 32) as usize),
        Work::Blocks(count) => count,
    };
    let config =
        LaunchConfig { grid_dim: (blocks.min(GRID) as u32, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: emulation, which runs the same launch in this crate's tests, holds number, size and kind of the arguments
    // against the kernel's parameters, and every access against the bounds of its buffer.
    unsafe { builder.launch(config) }.map_err(|error| fault(error.to_string()))?;
    Ok(())
}

/// An argument that stays where it is until the launch is on the stream.
enum Held<'a> {
    Pointer { at: CUdeviceptr, _in_use: Option<SyncOnDrop<'a>> },
    Value(Vec<u64>),
}

impl<'a> Held<'a> {
    fn new(argument: Argument<'a>, stream: &'a CudaStream) -> std::result::Result<Self, &'static str> {
        match argument {
            Argument::Null => Ok(Self::Pointer { at: 0, _in_use: None }),
            Argument::Value(value) => Ok(Self::Value(value.words)),
            Argument::Read(view) => pointer(view, stream).map(|(at, sync)| Self::Pointer { at, _in_use: Some(sync) }),
            Argument::Write(view) => {
                pointer_mut(view, stream).map(|(at, sync)| Self::Pointer { at, _in_use: Some(sync) })
            }
        }
    }
}

type Pointer<'a> = std::result::Result<(CUdeviceptr, SyncOnDrop<'a>), &'static str>;

/// Where a view begins on the device, and what tells other streams of its use, which goes on until that is dropped.
pub(crate) fn pointer<'a>(view: View<'a>, stream: &'a CudaStream) -> Pointer<'a> {
    let Memory::Device(storage) = view.memory else { return Err("an argument is in the host's memory") };
    let (start, sync) = match &storage.slice {
        CudaStorageSlice::U8(slice) => slice.device_ptr(stream),
        CudaStorageSlice::U32(slice) => slice.device_ptr(stream),
        CudaStorageSlice::I64(slice) => slice.device_ptr(stream),
        CudaStorageSlice::BF16(slice) => slice.device_ptr(stream),
        CudaStorageSlice::F16(slice) => slice.device_ptr(stream),
        CudaStorageSlice::F32(slice) => slice.device_ptr(stream),
        CudaStorageSlice::F64(slice) => slice.device_ptr(stream),
        _ => return Err("an argument has a dtype that no kernel reads"),
    };
    let offset = view.start * storage.dtype().size_in_bytes();
    Ok((start + offset as CUdeviceptr, sync))
}

/// Like [`pointer`], to write.
pub(crate) fn pointer_mut<'a>(view: ViewMut<'a>, stream: &'a CudaStream) -> Pointer<'a> {
    let MemoryMut::Device(storage) = view.memory else { return Err("an output is in the host's memory") };
    let offset = view.start * storage.dtype().size_in_bytes();
    let (start, sync) = match &mut storage.slice {
        CudaStorageSlice::U8(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::U32(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::I64(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::BF16(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::F16(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::F32(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::F64(slice) => slice.device_ptr_mut(stream),
        _ => return Err("an output has a dtype that no kernel writes"),
    };
    Ok((start + offset as CUdeviceptr, sync))
}

/// The kernel's PTX for the architecture.
fn compiled(launch: &Launch<'_>, module: &str, architecture: &str) -> Result<Arc<str>> {
    let key = format!("{module}.{architecture}");
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(ptx) = compiled.get(&key) {
        return Ok(ptx.clone());
    }
    let mut options = vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into()];
    options.extend(launch.definitions().iter().map(|name| format!("--define-macro={name}")));
    // Contracted, a sum of products would round differently from the CPU's, and a fused kernel from its parts.
    let options =
        CompileOptions { options, fmad: Some(false), name: Some(format!("{module}.cu")), ..CompileOptions::default() };
    let ptx = compile_ptx_with_opts(launch.source(), options)
        .map_err(|error| Error::Cuda { op: launch.kernel.name, reason: reason(error) })?;
    let ptx: Arc<str> = ptx.to_src().into();
    compiled.insert(key, ptx.clone());
    Ok(ptx)
}

/// What the compiler says.
fn reason(error: CompileError) -> String {
    match error {
        CompileError::CompileError { log, .. } => format!("NVRTC refuses the kernel: {}", log.to_string_lossy()),
        error => format!("NVRTC failed: {error:?}"),
    }
}
