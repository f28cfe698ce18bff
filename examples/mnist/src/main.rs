//! Trains a small convolutional network on real handwritten digits, judges it, and reads digits with it.

mod cli;
mod data;
mod digit;
mod error;
mod model;
mod pictures;
mod predict;
mod processes;
mod readings;
mod threads;
mod train;
mod trial;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use taper::layers::{Sequential, VarStore};
use taper::trainer::ConfusionMatrix;
use taper::{DType, Device};

use cli::{Cli, Command, DeviceName, EvalArgs, MachineArgs, PredictArgs, TrainArgs};
use error::{Error, Result};

/// Activations come and go with every step; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    threads::settle();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let out = &mut io::stdout().lock();
    match cli.command.unwrap_or(Command::Train(cli.train)) {
        Command::Train(args) => return train(&args, out),
        Command::Eval(args) => eval(&args, out)?,
        Command::Predict(args) => return predict(&args, out),
    }
    Ok(ExitCode::SUCCESS)
}

fn train(args: &TrainArgs, out: &mut impl Write) -> Result<ExitCode> {
    if let Some(count) = args.group.processes {
        return processes::launch(count);
    }
    if args.group.join {
        let (rendezvous, place) = processes::join()?;
        let device = device(&args.machine, place)?;
        let group = processes::connect(&rendezvous, &device)?;
        train::train(args, &device, Some(group), out)?;
    } else {
        train::train(args, &device(&args.machine, 0)?, None, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn eval(args: &EvalArgs, out: &mut impl Write) -> Result<()> {
    let device = device(&args.machine, 0)?;
    let net = load(&args.model.model, &device)?;
    let digits = data::load_test(&args.data.data)?;
    let readings = readings::read(&net, &digits, &device)?;
    let wrong = readings.iter().zip(digits.targets()).filter(|(reading, truth)| reading.first.0 != **truth);
    if args.report {
        report(&readings::confusion(&net, &digits, &device)?, out)?;
    }
    writeln!(out, "{} of {} test digits misread", wrong.count(), readings.len())?;
    writeln!(out, "test accuracy: {:.2} %", 100.0 * readings::accuracy(&readings, &digits))?;
    Ok(())
}

fn report(confusion: &ConfusionMatrix, out: &mut impl Write) -> Result<()> {
    writeln!(out, "which digit (a row) was read as which (a column):\n\n{confusion}")?;
    writeln!(out, "digit  precision    recall        F1")?;
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.2} %", 100.0 * share));
    let scores = confusion.precision().into_iter().zip(confusion.recall()).zip(confusion.f1());
    for (digit, ((precision, recall), f1)) in scores.enumerate() {
        let [precision, recall, f1] = [precision, recall, f1].map(percent);
        writeln!(out, "{digit:>5}  {precision:>9} {recall:>9} {f1:>9}")?;
    }
    Ok(writeln!(out)?)
}

/// Prints a line a picture. What is wrong with one picture does not keep the others from being read.
fn predict(args: &PredictArgs, out: &mut impl Write) -> Result<ExitCode> {
    let device = device(&args.machine, 0)?;
    let net = load(&args.model.model, &device)?;
    let mut code = ExitCode::SUCCESS;
    for path in &args.images {
        match predict::predict(&net, path, &device) {
            Ok(reading) => writeln!(out, "{}: {reading}", path.display())?,
            Err(error) => {
                tell(&format!("error: {error}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The network with the weights of a file.
fn load(path: &Path, device: &Device) -> Result<Sequential> {
    if !path.exists() {
        let path = path.display();
        return Err(Error::new(format!("there is no model {path}; train one with `cargo run --release -p mnist`")));
    }
    let store = VarStore::new(0, DType::F32, device);
    let net = model::network(store.builder())?;
    store.load(path)?;
    Ok(net)
}

/// Makes the pool of threads, and chooses the device: of several CUDA devices, the one of that number.
fn device(machine: &MachineArgs, ordinal: usize) -> Result<Device> {
    threads::set(machine.threads)?;
    match machine.device {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda => {
            taper::cuda_device(ordinal).map_err(|error| Error::new(format!("{error}, or use `--device cpu`")))
        }
    }
}

/// Help and version go to the standard output with exit code 0, mistakes as one line to the standard error with 2.
fn refuse(error: &clap::Error) -> ExitCode {
    let Some(mistake) = cli::mistake(error) else {
        // Where nobody reads it, it need not be said.
        let _ = error.print();
        return ExitCode::SUCCESS;
    };
    tell(&mistake);
    ExitCode::from(2)
}

/// Writes a line to the standard error; where that is closed there is nobody to tell.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
