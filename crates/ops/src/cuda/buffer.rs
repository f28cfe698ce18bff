//! Device memory: owned, and as a kernel's input sees it.

use crate::{Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, DType, Device};

/// Elements in a device's memory.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) storage: Owned,
    pub(crate) len: usize,
}

/// Where a buffer's elements lie: the host's memory stands for a device's under emulation.
#[derive(Debug)]
pub(crate) enum Owned {
    Host(CpuStorage),
    Device(CudaStorage),
}

/// A run of elements, to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// A run of elements, to read and write.
#[derive(Debug)]
pub(crate) struct ViewMut<'a> {
    pub(crate) memory: MemoryMut<'a>,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// Where a view's elements lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory<'a> {
    Host(&'a CpuStorage),
    Device(&'a CudaStorage),
}

/// Where the elements of a view to write lie.
#[derive(Debug)]
pub(crate) enum MemoryMut<'a> {
    Host(&'a mut CpuStorage),
    Device(&'a mut CudaStorage),
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The integers of it, in the host's memory: waits until the device has written them.
    pub(crate) fn to_vec_i64(&self, op: &'static str) -> Result<Vec<i64>> {
        let copy;
        let storage = match &self.storage {
            Owned::Host(storage) => storage,
            Owned::Device(storage) => {
                copy = storage.to_cpu_storage()?;
                &copy
            }
        };
        match storage {
            CpuStorage::I64(values) => Ok(values[..self.len].to_vec()),
            other => Err(Error::DType { op, dtype: other.dtype(), supported: "i64" }),
        }
    }

    /// All of the elements, to read.
    pub(crate) fn view(&self) -> View<'_> {
        let memory = match &self.storage {
            Owned::Host(storage) => Memory::Host(storage),
            Owned::Device(storage) => Memory::Device(storage),
        };
        View { memory, start: 0, len: self.len }
    }

    /// All of the elements, to write.
    pub(crate) fn view_mut(&mut self) -> ViewMut<'_> {
        let memory = match &mut self.storage {
            Owned::Host(storage) => MemoryMut::Host(storage),
            Owned::Device(storage) => MemoryMut::Device(storage),
        };
        ViewMut { memory, start: 0, len: self.len }
    }
}

impl View<'_> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Memory<'_> {
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Host(storage) => storage.dtype(),
            Self::Device(storage) => storage.dtype(),
        }
    }
}

impl MemoryMut<'_> {
    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Host(_) => Device::Cpu,
            Self::Device(storage) => Device::Cuda(storage.device().clone()),
        }
    }
}
