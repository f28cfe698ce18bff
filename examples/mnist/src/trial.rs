//! Trials: what finds faults before, or instead of, a training, and leaves no file.

use std::io::Write;

use taper::layers::{Sequential, VarStore};
use taper::trainer::Progress;

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
    let (train, test) = (model::training_batches(digits, args)?, model::batches(&digits.test)?);
    let mut trainer = model::trainer(net, store, args, train.batches_per_epoch());
    if args.debug.check_determinism {
        trainer.check_determinism(&train)?;
        writeln!(out, "the first step has the same bits each time")?;
    }
    if args.debug.check_gradients {
        let report = trainer.check_gradients(&train)?;
        if !report.passed() {
            return Err(Error::new(report.to_string()));
        }
        write!(out, "{report}")?;
    }
    if let Some(steps) = args.debug.fast_dev_run {
        let history = trainer.observer(Progress::stderr()).fast_dev_run(steps as usize).fit(&train, Some(&test))?;
        let steps = history.last().map_or(0, |epoch| epoch.step);
        writeln!(out, "{steps} steps and their validation ran; nothing was written")?;
    }
    Ok(())
}
