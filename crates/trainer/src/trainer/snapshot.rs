//! What a step changes, kept so that it can be put back.

use super::Trainer;
use super::ema::set_all;
use crate::Result;
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;

/// Copies of variables, buffers and the optimiser's state.
pub(super) struct Snapshot {
    vars: BTreeMap<String, Tensor>,
    buffers: BTreeMap<String, Tensor>,
    optimizer: BTreeMap<String, Tensor>,
}

impl Trainer<'_> {
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot { vars: copies(&self.vars)?, buffers: copies(&self.buffers)?, optimizer: self.optimizer.state()? })
    }

    pub(super) fn put_back(&mut self, snapshot: &Snapshot) -> Result<()> {
        set_all(&self.vars, &snapshot.vars)?;
        set_all(&self.buffers, &snapshot.buffers)?;
        self.optimizer.load_state(&self.vars, &snapshot.optimizer)
    }
}

/// The values that the variables have now, by name.
pub(super) fn copies(vars: &BTreeMap<String, Var>) -> Result<BTreeMap<String, Tensor>> {
    vars.iter().map(|(name, var)| Ok((name.clone(), var.copy()?))).collect()
}
