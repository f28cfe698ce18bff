//! What the trainer adds to a loop without it, and what the loader costs, beside the MNIST net's step: processor time of all
//! threads, in pairs of epochs that take turns at being first, so that a busy machine weighs on both alike.

use crate::Failure;
use crate::nets;
use candle_core::{DType, Device};
use std::time::Instant;
use taper_layers::{Layer, Sequential, VarStore};
use taper_ops::{CrossEntropySpec, Mode, cross_entropy};
use taper_trainer::data::{InMemoryDataset, Loader, Normalize, RandomAffine};
use taper_trainer::optim::{AdamW, Optimizer as _, gradients};
use taper_trainer::{Progress, Rates, Trainer};

const BATCH: usize = 64;
const BATCHES: usize = 16;

/// Prints milliseconds a step in a bare loop and under the trainer, and those of a batch from the loader.
pub(crate) fn trainer(rounds: usize) -> Result<(), Failure> {
    let pixels = (0..BATCH * BATCHES * 784).map(|i| (i * 31 % 256) as u8).collect();
    let targets = (0..(BATCH * BATCHES) as u32).map(|i| i % 10).collect();
    let digits = InMemoryDataset::from_pixels(pixels, &[1, 28, 28], targets)?;
    let train = Loader::new(digits, BATCH)?
        .shuffle(true)
        .workers(0)
        .transform(RandomAffine::new(12.0, [0.07, 0.07], [0.88, 1.12])?)
        .transform(Normalize::new(&[0.0], &[0.3081])?);
    let store = VarStore::new(42, DType::F32, &Device::Cpu);
    let net = nets::mnist(&store.builder())?;

    let [mut bare, mut trained, mut loaded, mut added] = [const { Vec::<f64>::new() }; 4];
    bare_epoch(&net, &store, &train)?;
    for round in 0..rounds {
        let by_trainer = || trained_epoch(&net, &store, &train);
        let (one, other) = if round % 2 == 0 {
            let one = cost(|| bare_epoch(&net, &store, &train))?;
            (one, cost(by_trainer)?)
        } else {
            let other = cost(by_trainer)?;
            (cost(|| bare_epoch(&net, &store, &train))?, other)
        };
        loaded.push(cost(|| Ok(train.epoch(0, 0).try_for_each(|batch| batch.map(drop))?))?);
        bare.push(one);
        trained.push(other);
        added.push(100.0 * (other / one - 1.0));
    }
    let [bare, trained, loaded, added] = [bare, trained, loaded, added].map(median);
    println!("milliseconds of processor time a step of {BATCH} samples, medians of {rounds} pairs of {BATCHES} steps");
    println!("bare loop {bare:.2}, trainer {trained:.2}: {added:+.1} % (median of the pairs' own)");
    println!("loader with augmentation {loaded:.3}: {:.0} batches a step", (bare - loaded) / loaded);
    Ok(())
}

/// What a user would write without the trainer.
fn bare_epoch(net: &Sequential, store: &VarStore, train: &Loader) -> Result<(), Failure> {
    let (vars, mut optimizer, mut total) = (store.vars(), AdamW::default(), 0.0);
    for (step, batch) in train.epoch(0, 0).enumerate() {
        let batch = batch?;
        let logits = net.forward_in(&batch.inputs, &Mode::train(42, step as u32, 0))?;
        let loss = cross_entropy(&logits, &batch.targets, &CrossEntropySpec::default())?;
        total += f64::from(loss.to_scalar::<f32>()?);
        optimizer.step(&vars, &gradients(&loss, &vars)?, Rates::constant(1e-4), 1.0)?;
    }
    if total.is_finite() { Ok(()) } else { Err("the loss is not finite".into()) }
}

fn trained_epoch(net: &Sequential, store: &VarStore, train: &Loader) -> Result<(), Failure> {
    let trainer = Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode)).buffers(store.buffers());
    trainer.seed(42).observer(Progress::to_writer(std::io::sink())).fit(train, None)?;
    Ok(())
}

/// The milliseconds a batch that an epoch takes.
fn cost(epoch: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let (start, before) = (Instant::now(), processor_time());
    epoch()?;
    let nanoseconds = match (before, processor_time()) {
        (Some(before), Some(after)) => after.saturating_sub(before) as f64,
        // Elsewhere than on Linux the wall clock has to do, on a machine that does nothing else.
        _ => start.elapsed().as_nanos() as f64,
    };
    Ok(nanoseconds / 1e6 / BATCHES as f64)
}

/// The nanoseconds that the threads of this process have run.
fn processor_time() -> Option<u64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let time = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.map(time).sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
