//! Trials: what finds faults before, or instead of, a training, and leaves no file.

use std::io::Write;

use taper::layers::{Layer, Sequential, VarStore};
use taper::trainer::{Progress, Trainer};
use taper::{DType, Device};

use crate::cli::{DebugArgs, TrainArgs};
use crate::data::Digits;
use crate::error::{Error, Result};
use crate::model;

/// Whether the flags ask for trials in place of a training.
pub(crate) fn asked_for(debug: &DebugArgs) -> bool {
    debug.fast_dev_run.is_some() || debug.check_determinism || debug.check_gradients
}

/// Runs the trials that `args` ask for, and tells what they came to.
pub(crate) fn run(
    net: &Sequential,
    store: &VarStore,
    digits: &Digits,
    args: &TrainArgs,
    out: &mut impl Write,
) -> Result<()> {
    let (train, test) = (model::training_batches(digits, args)?, model::batches(&digits.test, &Device::Cpu)?);
    let mut trainer = model::trainer(net, store, args, train.batches_per_epoch());
    if args.debug.check_determinism {
        trainer.check_determinism(&train)?;
        writeln!(out, "the first step has the same bits each time")?;
    }
    if args.debug.check_gradients {
        check_gradients(net, store, digits, args, out)?;
    }
    if let Some(steps) = args.debug.fast_dev_run {
        let history = trainer.observer(Progress::stderr()).fast_dev_run(steps as usize).fit(&train, Some(&test))?;
        let steps = history.last().map_or(0, |epoch| epoch.step);
        writeln!(out, "{steps} steps and their validation ran; nothing was written")?;
    }
    Ok(())
}

/// Few digits, since the loss of many hides each of them.
const DIGITS: u32 = 4;

/// In float32 as it trains, where only large mistakes show, and in float64, where small ones do too: the same network there.
fn check_gradients(
    net: &Sequential,
    store: &VarStore,
    digits: &Digits,
    args: &TrainArgs,
    out: &mut impl Write,
) -> Result<()> {
    let train = model::training_batches(digits, &TrainArgs { batch_size: DIGITS, ..args.clone() })?;
    let single = model::trainer(net, store, args, 1).check_gradients(&train)?;

    let store = VarStore::new(args.seed, DType::F64, &Device::Cpu);
    let net = model::network(store.builder())?;
    let forward = |x: &taper::Tensor, mode: &taper::ops::Mode| net.forward_in(&x.to_dtype(DType::F64)?, mode);
    let double = Trainer::new(store.vars(), forward).seed(args.seed).check_gradients(&train)?;
    for (dtype, report) in [("float32, as it trains", single), ("float64", double)] {
        if !report.passed() {
            return Err(Error::new(format!("in {dtype}: {report}")));
        }
        write!(out, "in {dtype}: {report}")?;
    }
    Ok(())
}
