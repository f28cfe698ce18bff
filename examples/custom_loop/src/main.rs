//! A training loop of one's own: loader, optimiser, schedule and checkpoints without the `Trainer`.
//!
//! `cargo run --release -p custom_loop`, and the same again to go on from its checkpoint.

mod checkpoint;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use taper::ops::optim::global_norm;
use taper::prelude::*;
use taper::trainer::data::mnist::{self, Split};
use taper::trainer::optim::{Optimizer, clip_scale, gradients};
use taper::trainer::{Accuracy, Schedule, prepare_folder};

const SEED: u64 = 1;

/// Trains a small network on handwritten digits, step by step.
#[derive(Debug, Parser)]
struct Args {
    /// Optimiser steps in all
    #[arg(long, value_name = "N", default_value_t = 500)]
    steps: usize,
    /// Stop after this step, to go on another time
    #[arg(long, value_name = "N")]
    until: Option<usize>,
    /// What to go on from, where it is there, and to write at the end and every 100 steps
    #[arg(long, value_name = "FILE", default_value = "runs/custom_loop/checkpoint.safetensors")]
    checkpoint: PathBuf,
}

fn network(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 8, 3, Conv2dConfig::default().padding(1), vb.pp("conv1"))?)
        .add(BatchNorm2d::new(8, BatchNormConfig::default(), vb.pp("bn1"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(8, 16, 3, Conv2dConfig::default().padding(1), vb.pp("conv2"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Dropout::new(0.25))
        .add(Linear::new(16 * 7 * 7, 10, vb.pp("fc"))?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let until = args.until.unwrap_or(args.steps).min(args.steps);
    if let Some(folder) = args.checkpoint.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        prepare_folder(folder)?;
    }
    let train = Loader::new(digits(Split::Train)?, 32)?.seed(SEED).shuffle(true);
    let test = Loader::new(digits(Split::Test)?, 250)?;

    let store = VarStore::new(SEED, DType::F32, &Device::Cpu);
    let net = network(store.builder())?;
    let vars = store.vars();
    let mut optimizer = AdamW::default();
    let schedule = OneCycle::new(0.01, args.steps.max(1));
    schedule.validate()?;

    let mut step = checkpoint::load(&args.checkpoint, &store, &mut optimizer)?;
    let mut out = io::stdout().lock();
    writeln!(out, "from step {step}")?;
    while step < until {
        // Which batches are due follows from the step alone, and so does every random number.
        let (epoch, done) = (step / train.batches_per_epoch(), step % train.batches_per_epoch());
        for batch in train.epoch(epoch as u32, done).take(until - step) {
            let batch = batch?;
            let logits = net.forward_in(&batch.inputs, &Mode::train(SEED, step as u32, 0))?;
            let loss = cross_entropy(&logits, &batch.targets, &CrossEntropySpec::default())?;
            let grads = gradients(&loss, &vars)?;
            let scale = clip_scale(global_norm(grads.values())?, 1.0);
            optimizer.step(&vars, &grads, schedule.rates(step, &[]), scale)?;
            step += 1;
            if step.is_multiple_of(100) {
                writeln!(out, "step {step}: loss {:.4}", loss.to_scalar::<f32>()?)?;
                checkpoint::save(&args.checkpoint, &store, &optimizer, step)?;
            }
        }
    }
    checkpoint::save(&args.checkpoint, &store, &optimizer, step)?;

    let mut accuracy = Accuracy::default();
    for batch in test.epoch(0, 0) {
        let batch = batch?;
        // The accuracy does not look at the loss.
        accuracy.update(&net.eval().forward(&batch.inputs)?, &batch.targets, 0.0)?;
    }
    writeln!(out, "step {step}: {} of {} test digits right", accuracy.correct, accuracy.total)?;
    Ok(())
}

/// The digits of the example `mnist`, which are in the repository.
fn digits(split: Split) -> taper::trainer::Result<InMemoryDataset> {
    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../mnist/data/", $name, "-ubyte.gz")).as_slice()
        };
    }
    let (images, labels) = match split {
        Split::Train => (file!("train-images-idx3"), file!("train-labels-idx1")),
        Split::Test => (file!("t10k-images-idx3"), file!("t10k-labels-idx1")),
    };
    mnist::from_bytes(split, images, labels)
}
