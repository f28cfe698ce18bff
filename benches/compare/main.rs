//! taper beside PyTorch and candle, in alternating processes: `cargo run --release -p taper-benches -- compare`.

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

mod cases;
mod compare;
mod nets;
mod scaling;
mod trainer;

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// What each row of the table is measured with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Times taper beside PyTorch and candle.
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
    /// The Python that has torch
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Where to write all figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leave candle out
    #[arg(long)]
    without_candle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Library {
    Taper,
    Candle,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compare(args) => compare::compare(&args),
        Command::Time { library, case } => cases::time(library, &case),
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
