//! What a step changes, kept so that it can be put back.

use super::Trainer;
use super::ema::set_all;
use super::mixed_precision::ScaleState;
use crate::Result;
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;

/// Copies of variables, buffers and the optimiser's state, and of what mixed precision adds to them.
pub(super) struct Snapshot {
    vars: BTreeMap<String, Tensor>,
    buffers: BTreeMap<String, Tensor>,
    optimizer: BTreeMap<String, Tensor>,
    masters: BTreeMap<String, Tensor>,
    loss_scale: Option<ScaleState>,
}

impl Trainer<'_> {
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot {
            vars: copies(&self.vars)?,
            buffers: copies(&self.buffers)?,
            optimizer: self.optimizer.state()?,
            masters: self.masters()?,
            loss_scale: self.position.loss_scale,
        })
    }

    pub(super) fn put_back(&mut self, snapshot: &Snapshot) -> Result<()> {
        set_all(&self.vars, &snapshot.vars)?;
        set_all(&self.buffers, &snapshot.buffers)?;
        self.set_masters(&snapshot.masters)?;
        self.position.loss_scale = snapshot.loss_scale;
        self.optimizer.load_state(&self.optimized, &snapshot.optimizer)
    }
}

/// The values that the variables have now, by name.
pub(super) fn copies(vars: &BTreeMap<String, Var>) -> Result<BTreeMap<String, Tensor>> {
    vars.iter().map(|(name, var)| Ok((name.clone(), var.copy()?))).collect()
}
