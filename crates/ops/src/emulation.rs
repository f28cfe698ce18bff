//! The CUDA path of every operator without a CUDA device, for tests: what would be launched is handed to a function.
//!
//! Kernels, launches and what leads to them are those that a device sees; only the launcher differs. The package
//! `taper-cuda-emulator` has one that compiles kernels as C++.

use crate::cuda::{Argument as Lowered, Launch as LoweredLaunch, Memory, MemoryMut, Work};
use crate::{Error, Result};
use candle_core::CpuStorage;
use std::cell::RefCell;
use std::rc::Rc;

/// What runs a launch; an error is a reason.
pub type Launcher = dyn Fn(Launch<'_>) -> std::result::Result<(), String>;

/// One launch of a kernel.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The name of the kernel's file.
    pub kernel: &'static str,
    /// What is to be compiled.
    pub source: String,
    /// The names that are defined while it is compiled.
    pub definitions: Vec<&'static str>,
    /// The function that runs.
    pub function: &'static str,
    /// The threads or blocks there is work for.
    pub work: Count,
    /// The function's arguments.
    pub arguments: Vec<Argument<'a>>,
}

/// How much work there is: the grid may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many threads.
    Threads(usize),
    /// So many blocks, each of any multiple of 32 threads.
    Blocks(usize),
}

/// An argument of a launch.
#[derive(Debug)]
pub enum Argument<'a> {
    /// A pointer to `len` elements from `start` on, to read.
    Read {
        /// Where they lie.
        storage: &'a CpuStorage,
        /// The first of them.
        start: usize,
        /// How many.
        len: usize,
    },
    /// A pointer to `len` elements from `start` on, to read and write.
    Write {
        /// Where they lie.
        storage: &'a mut CpuStorage,
        /// The first of them.
        start: usize,
        /// How many.
        len: usize,
    },
    /// A null pointer.
    Null,
    /// A value of so many bytes, in words.
    Value(Vec<u64>, usize),
}

thread_local! {
    static EMULATED: RefCell<Option<Emulated>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Emulated {
    launcher: Rc<Launcher>,
    wide: bool,
}

/// Calls `f`; until it returns, operators on this thread take the path of CUDA devices, and `launcher` runs their kernels,
/// which count in 64 bits where `wide` says so.
pub fn emulated<R>(launcher: Rc<Launcher>, wide: bool, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Emulated>);
    impl Drop for Restore {
        fn drop(&mut self) {
            EMULATED.set(self.0.take());
        }
    }
    let _restore = Restore(EMULATED.replace(Some(Emulated { launcher, wide })));
    f()
}

pub(crate) fn is_on() -> bool {
    EMULATED.with_borrow(Option::is_some)
}

pub(crate) fn is_wide() -> bool {
    EMULATED.with_borrow(|emulated| emulated.as_ref().is_some_and(|emulated| emulated.wide))
}

pub(crate) fn launch(launch: LoweredLaunch<'_>) -> Result<()> {
    let op = launch.kernel.name;
    let Some(emulated) = EMULATED.with_borrow(Clone::clone) else { return Err(Error::NoCudaKernel { op }) };
    let (source, definitions) = (launch.source(), launch.definitions());
    let argument = |argument| match argument {
        Lowered::Null => Ok(Argument::Null),
        Lowered::Value(value) => Ok(Argument::Value(value.words, value.len)),
        Lowered::Read(view) => match view.memory {
            Memory::Host(storage) => Ok(Argument::Read { storage, start: view.start, len: view.len }),
            Memory::Device(_) => Err(Error::OtherDevice { op }),
        },
        Lowered::Write(view) => match view.memory {
            MemoryMut::Host(storage) => Ok(Argument::Write { storage, start: view.start, len: view.len }),
            MemoryMut::Device(_) => Err(Error::OtherDevice { op }),
        },
    };
    let arguments = launch.arguments.into_iter().map(argument).collect::<Result<_>>()?;
    let work = match launch.work {
        Work::Each(count) => Count::Threads(count),
        Work::Warps(count) | Work::Blocks(count) => Count::Blocks(count),
    };
    (emulated.launcher)(Launch { kernel: op, source, definitions, function: launch.function, work, arguments })
        .map_err(|reason| Error::Cuda { op, reason })
}
