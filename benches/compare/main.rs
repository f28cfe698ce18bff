//! taper beside PyTorch, candle and burn, in alternating processes: `cargo run --release -p taper-benches -- compare`.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

mod cases;
mod compare;
mod nets;
mod scaling;
mod trainer;

use candle_core::Device;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// What each row of the table is measured with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Times taper beside PyTorch, candle and burn.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Time every case by every library that is installed, in alternating processes, and print a table of ratios
    Compare(CompareArgs),
    /// Time one case by one library in this process, and print the figures as one line of JSON
    Time {
        library: Library,
        /// A name that `compare` prints
        case: String,
        /// What computes
        #[arg(long, default_value = "cpu")]
        device: DeviceKind,
    },
    /// Print what the trainer adds to a loop without it, and what the loader costs, beside the MNIST net's step
    Trainer {
        /// Pairs of epochs
        #[arg(long, default_value_t = 15)]
        rounds: usize,
    },
    /// Print what a multiply-add of a 3×3 convolution costs as batch, extent and channels grow
    Scaling {
        /// Numbers of threads to compute with
        #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
        threads: Vec<usize>,
    },
}

#[derive(Debug, clap::Args)]
struct CompareArgs {
    /// Threads to compute with
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How often each library has its turn at a case
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// What computes; on `cuda`, PyTorch's nets are timed compiled too
    #[arg(long, default_value = "cpu")]
    device: DeviceKind,
    /// The Python that has torch
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// PyTorch's side of the comparison
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/torch_peer.py"))]
    peer: PathBuf,
    /// burn's side, where it was built
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/burn/target/release/burn-peer"))]
    burn: PathBuf,
    /// Where to write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leave candle out
    #[arg(long)]
    without_candle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum DeviceKind {
    Cpu,
    Cuda,
}

impl DeviceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    fn open(self) -> Result<Device, Failure> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0).map_err(|error| {
                // A backtrace may follow.
                let error = error.to_string();
                format!("--device cuda: {}", error.lines().next().unwrap_or_default()).into()
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Library {
    Taper,
    Candle,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compare(args) => compare::compare(&args),
        Command::Time { library, case, device } => {
            device.open().and_then(|device| cases::time(library, &case, &device))
        }
        Command::Scaling { threads } => scaling::scaling(&threads),
        Command::Trainer { rounds } => trainer::trainer(rounds),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
