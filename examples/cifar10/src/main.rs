//! Trains a residual network on CIFAR-10.
//!
//! `cargo run --release -p cifar10 -- --data cifar-10-batches-bin`, with the folder of the binary version, or with the feature
//! `hub` and `--data hub`.

mod model;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum, value_parser};
use taper::prelude::*;
use taper::trainer::data::cifar::{self, Cifar};
use taper::trainer::data::mnist::Split;
use taper::trainer::prepare_folder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of the training pictures' channels, red, green and blue.
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const DEVIATION: [f32; 3] = [0.2470, 0.2435, 0.2616];

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Trains a residual network on CIFAR-10.
#[derive(Debug, Parser)]
struct Args {
    /// The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or `hub`
    #[arg(long, value_name = "DIR|hub", default_value = "cifar-10-batches-bin")]
    data: PathBuf,
    /// Train on these files of CIFAR-10's binary version instead, of any number of records
    #[arg(long, value_name = "FILE,…", value_delimiter = ',', requires = "test")]
    train: Vec<PathBuf>,
    /// Be judged by this file instead
    #[arg(long, value_name = "FILE", requires = "train")]
    test: Option<PathBuf>,
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = "runs/cifar10")]
    out: PathBuf,
    /// How often to go through the training pictures
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Pictures a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = value_parser!(u32).range(1..=1_000_000))]
    batch_size: u32,
    /// The peak of the one-cycle learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.1)]
    lr: f64,
    /// Blocks a stage: 3 make a net of 20 layers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=20))]
    blocks: u8,
    /// What every random number follows from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// What to compute on; cuda is there where built with `--features cuda`
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
    /// Go on from the newest whole checkpoint in the output folder
    #[arg(long)]
    resume: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceName {
    Cpu,
    Cuda,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, it need not be said.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let device = match args.device {
        DeviceName::Cpu => Device::Cpu,
        DeviceName::Cuda => taper::cuda_device(0).map_err(|error| format!("{error}, or use `--device cpu`"))?,
    };
    let (epochs, batch_size) = (args.epochs as usize, args.batch_size as usize);
    let normalize = || Normalize::new(&MEAN, &DEVIATION);
    let train = Loader::new(pictures(args, Split::Train)?, batch_size)?
        .seed(args.seed)
        .shuffle(true)
        .transform(RandomCrop::new([32, 32], [4, 4])?)
        .transform(RandomHorizontalFlip::new(0.5)?)
        .transform(normalize()?);
    let test = Loader::new(pictures(args, Split::Test)?, 250)?.transform(normalize()?).device(&device);
    prepare_folder(&args.out)?;

    let store = VarStore::new(args.seed, DType::F32, &device);
    let net = model::resnet(args.blocks.into(), store.builder())?;
    let mut out = io::stdout().lock();
    let table = summary(&net, (1, 3, 32, 32), DType::F32, &device)?;
    writeln!(out, "{table}")?;

    let sgd = SgdConfig { lr: args.lr, momentum: 0.9, nesterov: true, weight_decay: 5e-4, ..Default::default() };
    let report = HtmlReport::new(args.out.join("report.html"))
        .title("CIFAR-10")
        .table(table.to_string())
        .classes(CLASSES)
        .predictions(&test, |x| net.eval().forward(x));
    let mut trainer = Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode))
        .buffers(store.buffers())
        .optimizer(Sgd::new(sgd)?.no_weight_decay(["*.bias", "*bn*"]))
        .schedule(OneCycle::new(args.lr, epochs * train.batches_per_epoch()))
        .epochs(epochs)
        .seed(args.seed)
        .checkpoints(Checkpoints::new(args.out.join("checkpoints")))
        .resume(args.resume)
        .observer(Progress::stderr())
        .observer(CsvLog::new(args.out.join("metrics.csv")))
        .observer(report);
    trainer.fit(&train, Some(&test))?;
    let result = trainer.evaluate(&test)?;
    drop(trainer);
    store.save(args.out.join("model.safetensors"))?;
    writeln!(out, "test: {result}")?;
    Ok(())
}

fn pictures(args: &Args, split: Split) -> Result<InMemoryDataset, Box<dyn Error>> {
    let files = match split {
        Split::Train => args.train.as_slice(),
        Split::Test => args.test.as_slice(),
    };
    if !files.is_empty() {
        let mut records = Vec::new();
        for file in files {
            records.extend(fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?);
        }
        return Ok(cifar::from_bytes(Cifar::Cifar10, &files[0].display().to_string(), &records)?);
    }
    if args.data == Path::new("hub") {
        return hub(split);
    }
    cifar::from_dir(&args.data, Cifar::Cifar10, split)
        .map_err(|error| format!("{error}; `--data` names the folder of CIFAR-10's binary version").into())
}

#[cfg(feature = "hub")]
fn hub(split: Split) -> Result<InMemoryDataset, Box<dyn Error>> {
    Ok(taper::trainer::data::hub::Hub::from_env()?.cifar10(split)?)
}

#[cfg(not(feature = "hub"))]
fn hub(_: Split) -> Result<InMemoryDataset, Box<dyn Error>> {
    Err("this build cannot reach the hub; build with `--features hub`, or name a folder".into())
}
