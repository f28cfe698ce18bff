//! Kernels and their launches, whatever runs them.

use super::buffer::{Buffer, Memory, Owned, View, ViewMut};
#[cfg(feature = "cuda")]
use super::driver;
#[cfg(feature = "emulate")]
use crate::emulation;
use crate::{Error, Result};
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CpuStorage, DType, Device, Layout, Shape, WithDType};
use half::{bf16, f16};

/// What is compiled in front of every kernel file, in order.
const PRELUDE: [&str; 8] = [
    include_str!("prelude.cuh"),
    include_str!("reduce.cuh"),
    include_str!("../math.cuh"),
    include_str!("../elementwise/passes.cuh"),
    include_str!("../classes/classes.cuh"),
    include_str!("../random.cuh"),
    include_str!("../window.cuh"),
    include_str!("../max_pool/maximum.cuh"),
];

/// Sizes up to here are passed as `int`: three of them add up to less than 2³¹.
const NARROW: usize = 1 << 29;

/// A file of kernels.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The name under which what is compiled is kept.
    pub(crate) name: &'static str,
    /// The text of the file.
    pub(crate) source: &'static str,
}

/// How many threads a launch needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One thread an element; the kernel's `EACH` takes what the grid has not.
    Each(usize),
    /// One warp an item; the kernel's `EACH_GROUP` takes what the grid has not, and runs with any multiple of 32 threads.
    Warps(usize),
    /// One block an item; the kernel's `EACH_BLOCK` takes what the grid has not, and runs with any multiple of 32 threads.
    Blocks(usize),
}

/// An argument of a kernel.
#[derive(Debug)]
pub(crate) enum Arg<'a> {
    /// `const T *`.
    In(View<'a>),
    /// `T *`, to fill.
    Out(&'a mut Buffer),
    /// `T *`, to read and write: memory that is not the operator's own.
    Update(ViewMut<'a>),
    /// A null pointer.
    Null,
    /// `index_t`.
    Size(usize),
    /// A struct of `index_t`.
    Sizes(Vec<usize>),
    /// `real_t`.
    Real(f64),
    /// `double`.
    Double(f64),
    /// `unsigned long long`.
    Word(u64),
}

/// A device, and the element type that an operator runs in.
#[derive(Debug, Clone)]
pub(crate) struct Gpu {
    device: Device,
    scalar: DType,
}

/// A launch as a driver gets it.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) kernel: &'static Kernel,
    pub(crate) function: &'static str,
    pub(crate) scalar: DType,
    /// Whether `index_t` has 64 bits.
    pub(crate) wide: bool,
    pub(crate) work: Work,
    pub(crate) arguments: Vec<Argument<'a>>,
}

/// An argument as a driver gets it.
#[derive(Debug)]
pub(crate) enum Argument<'a> {
    Read(View<'a>),
    Write(ViewMut<'a>),
    Null,
    Value(Value),
}

/// So many bytes, at an address that suits any number.
#[derive(Debug)]
pub(crate) struct Value {
    /// The bytes, and padding up to a whole word.
    pub(crate) words: Vec<u64>,
    /// How many bytes count.
    pub(crate) len: usize,
}

impl Kernel {
    pub(crate) const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source }
    }
}

impl Launch<'_> {
    /// What is to be compiled.
    pub(crate) fn source(&self) -> String {
        [PRELUDE.concat().as_str(), self.kernel.source].concat()
    }

    /// The names that are defined while it is compiled.
    pub(crate) fn definitions(&self) -> Vec<&'static str> {
        let scalar = match self.scalar {
            DType::BF16 => "SCALAR_BF16",
            DType::F16 => "SCALAR_F16",
            DType::F64 => "SCALAR_F64",
            _ => "SCALAR_F32",
        };
        if self.wide { vec![scalar, "WIDE"] } else { vec![scalar] }
    }
}

impl Gpu {
    pub(crate) fn new(device: Device, scalar: DType) -> Self {
        Self { device, scalar }
    }

    /// The device, but under emulation.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda_device(&self) -> Option<&candle_core::CudaDevice> {
        match &self.device {
            Device::Cuda(device) => Some(device),
            _ => None,
        }
    }

    /// The operator's own type.
    #[cfg(feature = "cuda")]
    pub(crate) fn scalar(&self) -> DType {
        self.scalar
    }

    /// The type that kernels compute with: their `real_t`.
    pub(crate) fn real(&self) -> DType {
        if self.scalar == DType::F64 { DType::F64 } else { DType::F32 }
    }

    /// `len` elements of the operator's own type, for a kernel to fill.
    pub(crate) fn alloc(&self, len: usize) -> Result<Buffer> {
        self.alloc_of(self.scalar, len)
    }

    /// `len` elements of `dtype`, for a kernel to fill: every element, before it is read.
    pub(crate) fn alloc_of(&self, dtype: DType, len: usize) -> Result<Buffer> {
        let storage = match &self.device {
            // SAFETY: numbers have no invalid bits, and kernels write each before one reads it: emulation, which hands
            // out poison here, shows where not. Of no bytes the driver has no memory to give.
            Device::Cuda(device) => Owned::Device(unsafe { device.alloc_uninit(&Shape::from(len.max(1)), dtype)? }),
            _ => Owned::Host(poisoned(dtype, len)?),
        };
        Ok(Buffer { storage, len })
    }

    /// A table in the device's memory.
    pub(crate) fn upload<T: WithDType>(&self, table: Vec<T>) -> Result<Buffer> {
        if table.is_empty() {
            return self.alloc_of(T::DTYPE, 0);
        }
        let (len, table) = (table.len(), T::to_cpu_storage_owned(table));
        let storage = match &self.device {
            Device::Cuda(device) => Owned::Device(device.storage_from_cpu_storage_owned(table)?),
            _ => Owned::Host(table),
        };
        Ok(Buffer { storage, len })
    }

    /// The elements of `layout` in row-major order.
    pub(crate) fn row_major(&self, memory: Memory<'_>, layout: &Layout) -> Result<Buffer> {
        let mut copy = self.alloc_of(memory.dtype(), layout.shape().elem_count())?;
        match (memory, &mut copy.storage) {
            (Memory::Host(from), Owned::Host(to)) => from.copy_strided_src(to, 0, layout)?,
            (Memory::Device(from), Owned::Device(to)) => from.copy_strided_src(to, 0, layout)?,
            _ => return Err(Error::OtherDevice { op: "row-major" }),
        }
        Ok(copy)
    }

    /// Runs `function` of `kernel`.
    pub(crate) fn launch(
        &self,
        kernel: &'static Kernel,
        function: &'static str,
        work: Work,
        args: Vec<Arg<'_>>,
    ) -> Result<()> {
        let (Work::Each(count) | Work::Warps(count) | Work::Blocks(count)) = work;
        if count == 0 {
            return Ok(());
        }
        let wide = count > NARROW || args.iter().any(Arg::is_wide);
        #[cfg(feature = "emulate")]
        let wide = wide || emulation::is_wide();
        let arguments = args.into_iter().map(|arg| lower(kernel, self.scalar, arg, wide)).collect::<Result<_>>()?;
        let launch = Launch { kernel, function, scalar: self.scalar, wide, work, arguments };
        match &self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => driver::launch(device, launch),
            #[cfg(feature = "emulate")]
            Device::Cpu => emulation::launch(launch),
            _ => Err(Error::NoCudaKernel { op: launch.kernel.name }),
        }
    }
}

impl Arg<'_> {
    fn is_wide(&self) -> bool {
        match self {
            Self::In(view) => view.len() > NARROW,
            Self::Out(buffer) => buffer.len() > NARROW,
            Self::Update(view) => view.len > NARROW,
            Self::Size(size) => *size > NARROW,
            Self::Sizes(sizes) => sizes.iter().any(|&size| size > NARROW),
            Self::Null | Self::Real(_) | Self::Double(_) | Self::Word(_) => false,
        }
    }
}

impl Value {
    fn new(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        };
        Self { words: bytes.chunks(8).map(word).collect(), len: bytes.len() }
    }
}

fn lower<'a>(kernel: &'static Kernel, scalar: DType, arg: Arg<'a>, wide: bool) -> Result<Argument<'a>> {
    let size = |&size: &usize| -> Result<Vec<u8>> {
        let size = i64::try_from(size).map_err(|_| Error::Overflow { op: kernel.name, what: "a kernel's argument" })?;
        Ok(if wide { size.to_ne_bytes().to_vec() } else { (size as i32).to_ne_bytes().to_vec() })
    };
    let sizes = |sizes: &[usize]| -> Result<Argument<'a>> {
        let bytes: Vec<Vec<u8>> = sizes.iter().map(size).collect::<Result<_>>()?;
        Ok(Argument::Value(Value::new(&bytes.concat())))
    };
    Ok(match arg {
        Arg::In(view) => Argument::Read(view),
        Arg::Out(buffer) => Argument::Write(buffer.view_mut()),
        Arg::Update(view) => Argument::Write(view),
        Arg::Null => Argument::Null,
        Arg::Size(one) => sizes(&[one])?,
        Arg::Sizes(all) => sizes(&all)?,
        Arg::Real(real) if scalar == DType::F64 => Argument::Value(Value::new(&real.to_ne_bytes())),
        Arg::Real(real) => Argument::Value(Value::new(&(real as f32).to_ne_bytes())),
        Arg::Double(real) => Argument::Value(Value::new(&real.to_ne_bytes())),
        Arg::Word(word) => Argument::Value(Value::new(&word.to_ne_bytes())),
    })
}

/// What stands for memory that nobody has written.
fn poisoned(dtype: DType, len: usize) -> Result<CpuStorage> {
    Ok(match dtype {
        DType::U8 => CpuStorage::U8(vec![0xa5; len]),
        DType::U32 => CpuStorage::U32(vec![0xa5a5_a5a5; len]),
        DType::I64 => CpuStorage::I64(vec![i64::MIN + 1; len]),
        DType::BF16 => CpuStorage::BF16(vec![bf16::NAN; len]),
        DType::F16 => CpuStorage::F16(vec![f16::NAN; len]),
        DType::F32 => CpuStorage::F32(vec![f32::NAN; len]),
        DType::F64 => CpuStorage::F64(vec![f64::NAN; len]),
        dtype => return Err(Error::DType { op: "cuda", dtype, supported: "u8, u32, i64, bf16, f16, f32, f64" }),
    })
}
