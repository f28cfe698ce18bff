//! All that a run needs to go on to the bit, in one safetensors file: variables, buffers, the optimiser's state and the step.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use taper::layers::VarStore;
use taper::trainer::optim::Optimizer;
use taper::trainer::write_atomic;
use taper::{Device, Tensor};

const NET: &str = "net.";
const OPTIMIZER: &str = "optimizer.";
const STEP: &str = "step";

/// Writes it whole, or leaves the former one.
pub(crate) fn save(
    path: &Path,
    store: &VarStore,
    optimizer: &dyn Optimizer,
    step: usize,
) -> Result<(), Box<dyn Error>> {
    let mut tensors = BTreeMap::from([(STEP.to_owned(), Tensor::new(step as i64, &Device::Cpu)?)]);
    for (name, var) in store.vars().into_iter().chain(store.buffers()) {
        tensors.insert(format!("{NET}{name}"), var.as_detached_tensor());
    }
    for (name, state) in optimizer.state()? {
        tensors.insert(format!("{OPTIMIZER}{name}"), state);
    }
    Ok(write_atomic(path, &safetensors::serialize(tensors, None)?)?)
}

/// Takes over what the file holds, and returns the steps that are done; none where there is no file.
pub(crate) fn load(path: &Path, store: &VarStore, optimizer: &mut dyn Optimizer) -> Result<usize, Box<dyn Error>> {
    if !path.exists() {
        return Ok(0);
    }
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
    let held = |name: &str| tensors.get(name).ok_or_else(|| format!("{} does not hold {name}", path.display()));
    for (name, var) in store.vars().into_iter().chain(store.buffers()) {
        var.set(held(&format!("{NET}{name}"))?)?;
    }
    let state =
        tensors.iter().filter_map(|(name, state)| Some((name.strip_prefix(OPTIMIZER)?.to_owned(), state.clone())));
    optimizer.load_state(&store.vars(), &state.collect())?;
    Ok(usize::try_from(held(STEP)?.to_scalar::<i64>()?)?)
}
