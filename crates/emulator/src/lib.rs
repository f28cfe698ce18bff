//! Runs taper's CUDA kernels on the CPU, for tests: the kernels' own source, compiled as C++ against `runtime.h`, in the
//! launches that a device would see.
//!
//! A kernel runs with any block size and in any [`Order`] of its threads, so that what is right only in some of them shows. It
//! fails, with a reason, where its arguments are not what its parameters take, where it leaves its buffers (each ends or begins
//! at a page that may not be touched), where its behaviour is undefined, and where only some threads reach a barrier.
//!
//! Needs a C++ compiler, `c++` or `$CXX`, on a Unix. Libraries are kept beside the test binaries, by their source's hash.

mod compile;
mod memory;

use memory::Guarded;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use taper_ops::emulation::{Argument, Count, Launch, emulated};

/// How kernels are run.
#[derive(Debug, Clone, Copy)]
pub struct Emulator {
    /// Threads of a block; in a launch that asks for blocks, rounded up to a multiple of 32.
    pub block: u32,
    /// Blocks of a grid at most: kernels take the rest in turns.
    pub grid: u32,
    /// Which of the threads that could run runs next.
    pub order: Order,
    /// Whether kernels count in 64 bits, as they do where there are more than 2²⁹ elements.
    pub wide: bool,
}

/// The order of threads between the points where they wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Always the lowest thread that can run, as far as it can.
    LowestFirst,
    /// Always the highest.
    HighestFirst,
    /// Any, by a generator with this seed.
    Random(u32),
}

impl Default for Emulator {
    fn default() -> Self {
        Self { block: 32, grid: 3, order: Order::LowestFirst, wide: false }
    }
}

impl Emulator {
    /// Calls `f`; operators that it calls take the path of CUDA devices, and their kernels run here.
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        emulated(Rc::new(move |launch| self.launch(launch)), self.wide, f)
    }

    /// Runs one launch.
    ///
    /// # Errors
    ///
    /// What the kernel did wrong, or why it does not compile.
    pub fn launch(self, launch: Launch<'_>) -> Result<(), String> {
        // Signal handlers are the process's.
        static ALONE: Mutex<()> = Mutex::new(());
        let function = compile::function(&launch)?;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (block, blocks) = match launch.work {
            Count::Threads(count) => (self.block, count.div_ceil(self.block as usize)),
            Count::Blocks(count) => (self.block.next_multiple_of(32), count),
        };
        let at_end = !matches!(self.order, Order::HighestFirst);
        let mut arguments =
            launch.arguments.into_iter().map(|argument| Held::new(argument, at_end)).collect::<Result<Vec<_>, _>>()?;
        let raw: Vec<RawArgument> = arguments.iter_mut().map(Held::raw).collect();
        let order = match self.order {
            Order::LowestFirst => 0,
            Order::HighestFirst => 1,
            Order::Random(seed) => 2 + u64::from(seed),
        };
        let grid = blocks.min(self.grid as usize) as u32;
        let mut call = RawLaunch { grid, block, order, count: raw.len() as u64, arguments: raw.as_ptr(), fault: 0 };
        // SAFETY: `function` is what the runtime generates for the kernel: it takes the arguments that `call` counts, and
        // holds the kind and the size of each against the kernel's parameters. They live until it returns.
        let outcome = unsafe { function(&mut call) };
        let function = launch.function;
        match outcome {
            0 => arguments.into_iter().try_for_each(Held::write_back),
            1 => Err(format!("{function} does not take {} arguments", call.count)),
            2 => Err(format!("{function} does not take its argument {} (counted from 0)", call.fault)),
            3 => Err(format!("{function}: some threads end while others wait at a barrier")),
            4 => Err(format!("{function}: some lanes of a warp wait for others that do not come")),
            5 => Err(format!("{function}: a shuffle names a part of its warp")),
            6 => Err(format!("{function} leaves its buffers")),
            _ => Err(format!("{function}: its behaviour is undefined")),
        }
    }
}

/// The counterpart of `Launch` in `runtime.h`.
#[repr(C)]
struct RawLaunch {
    grid: u32,
    block: u32,
    order: u64,
    count: u64,
    arguments: *const RawArgument,
    fault: u64,
}

/// The counterpart of `Argument` in `runtime.h`.
#[repr(C)]
struct RawArgument {
    kind: i32,
    size: u64,
    data: *mut c_void,
}

/// An argument while its kernel runs.
enum Held<'a> {
    Read(Guarded),
    Write(Guarded, &'a mut candle_core::CpuStorage, usize),
    Null,
    Value(Vec<u64>, usize),
}

impl<'a> Held<'a> {
    fn new(argument: Argument<'a>, at_end: bool) -> Result<Self, String> {
        Ok(match argument {
            Argument::Null => Self::Null,
            Argument::Value(words, len) => Self::Value(words, len),
            Argument::Read { storage, start, len } => {
                let (bytes, element) = memory::bytes(storage)?;
                let mut held = Guarded::new(&bytes[start * element..(start + len) * element], element, at_end)?;
                held.protect()?;
                Self::Read(held)
            }
            Argument::Write { storage, start, len } => {
                let (bytes, element) = memory::bytes(storage)?;
                let held = Guarded::new(&bytes[start * element..(start + len) * element], element, at_end)?;
                Self::Write(held, storage, start * element)
            }
        })
    }

    fn raw(&mut self) -> RawArgument {
        match self {
            Self::Value(words, len) => RawArgument { kind: 0, size: *len as u64, data: words.as_mut_ptr().cast() },
            Self::Read(memory) => RawArgument { kind: 1, size: memory.element() as u64, data: memory.start() },
            Self::Write(memory, ..) => RawArgument { kind: 2, size: memory.element() as u64, data: memory.start() },
            Self::Null => RawArgument { kind: 3, size: 0, data: std::ptr::null_mut() },
        }
    }

    fn write_back(self) -> Result<(), String> {
        if let Self::Write(memory, storage, first) = self {
            memory::bytes_mut(storage)?[first..][..memory.bytes().len()].copy_from_slice(memory.bytes());
        }
        Ok(())
    }
}
