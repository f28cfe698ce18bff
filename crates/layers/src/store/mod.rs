//! Where a network's parameters live: made from a seed, loaded from a file, handed to an optimiser, saved.

mod file;
mod init;

use crate::{Differences, Error, Result};
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::Init;
use candle_nn::var_builder::{SimpleBackend, VarBuilder};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The parameters of a network under their state-dict names, behind a [`VarBuilder`].
///
/// Layers ask the [builder](Self::builder) for tensors by name and shape. Their initial values are a pure function of
/// (seed, name): one seed gives the same bits whatever the order of construction and the number of threads. A name that
/// is asked for again gives the same tensor, so tied weights are tied.
///
/// Running statistics (names whose last part is `running_…` or `num_batches_tracked`) and integer tensors are
/// [buffers](Self::buffers): saved and loaded, but no optimiser sees them.
///
/// A clone is another handle on the same parameters.
///
/// ```
/// use candle_core::{DType, Device};
/// use taper_layers::{Linear, VarStore};
///
/// let store = VarStore::new(42, DType::F32, &Device::Cpu);
/// let fc = Linear::new(3, 2, store.builder().pp("fc"))?;
/// assert_eq!(store.vars().keys().collect::<Vec<_>>(), ["fc.bias", "fc.weight"]);
///
/// let path = std::env::temp_dir().join("taper-doc-store.safetensors");
/// store.save(&path)?;
/// let other = VarStore::new(7, DType::F32, &Device::Cpu);
/// other.load(&path)?;
/// let same = Linear::new(3, 2, other.builder().pp("fc"))?;
/// assert_eq!(fc.weight().to_vec2::<f32>()?, same.weight().to_vec2::<f32>()?);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VarStore {
    seed: u64,
    dtype: DType,
    device: Device,
    tensors: Arc<Mutex<Tensors>>,
}

#[derive(Debug, Default)]
struct Tensors {
    vars: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
    /// A file loaded before the network was built, whose values stand in for fresh ones.
    loaded: Option<Loaded>,
    /// The prefixes of the parameters that stay as they are.
    frozen: Vec<String>,
}

#[derive(Debug)]
struct Loaded {
    path: PathBuf,
    /// What no layer has asked for yet.
    tensors: BTreeMap<String, Tensor>,
    strict: bool,
}

impl VarStore {
    /// An empty store. Its builder makes tensors of `dtype` on `device`, with values drawn under `seed`.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self { seed, dtype, device: device.clone(), tensors: Arc::default() }
    }

    /// What layers take to make their parameters in this store.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype, self.device.clone())
    }

    /// Freezes the parameters under these prefixes, such as the layers of a loaded backbone, in the network that is built
    /// afterwards: `conv1` means `conv1.weight` and `conv1.bias`. They become [buffers](Self::buffers), which are saved and loaded
    /// but not trained, and layers are handed tensors that no gradient is computed for; nor is one for whatever only leads
    /// to them, so that a step over a frozen backbone takes its forward pass and no more. Running statistics move on.
    ///
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use taper_layers::{Layer, Linear, ReLU, Sequential, VarStore};
    ///
    /// let store = VarStore::new(42, DType::F32, &Device::Cpu);
    /// store.freeze(["features"]);
    /// let vb = store.builder();
    /// let features = Linear::new(3, 4, vb.pp("features"))?;
    /// let net = Sequential::new().add(features).add(ReLU).add(Linear::new(4, 2, vb.pp("head"))?);
    /// assert_eq!(store.vars().keys().collect::<Vec<_>>(), ["head.bias", "head.weight"]);
    /// assert_eq!(store.buffers().keys().collect::<Vec<_>>(), ["features.bias", "features.weight"]);
    ///
    /// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
    /// let grads = net.eval().forward(&x)?.sum_all()?.backward()?;
    /// assert!(grads.get(&store.vars()["head.weight"]).is_some());
    /// assert!(grads.get(&store.buffers()["features.weight"]).is_none());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn freeze<'a>(&self, prefixes: impl IntoIterator<Item = &'a str>) {
        self.lock().frozen.extend(prefixes.into_iter().map(str::to_owned));
    }

    /// The trainable parameters, sorted by name: what an optimiser takes.
    pub fn vars(&self) -> BTreeMap<String, Var> {
        self.lock().vars.clone()
    }

    /// The tensors that are saved and loaded but not trained, sorted by name.
    pub fn buffers(&self) -> BTreeMap<String, Var> {
        self.lock().buffers.clone()
    }

    /// Names that a file loaded before the network was built has, and that no layer has asked for yet.
    pub fn unused(&self) -> Vec<String> {
        self.lock().loaded.iter().flat_map(|loaded| loaded.tensors.keys().cloned()).collect()
    }

    /// Loads a safetensors file that holds exactly this network's tensors, converted to the network's dtypes.
    ///
    /// In a store that is still empty, the file's values become the initial values of the network to be built; a layer
    /// that asks for a name that the file lacks is then refused, and [`unused`](Self::unused) tells of names that no
    /// layer asked for.
    ///
    /// # Errors
    /// The file cannot be read or is not whole; or a name is missing, unexpected or of another shape, in which case the
    /// error lists every such name and nothing is changed.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        self.load_tensors(path.as_ref(), true).map(|_| ())
    }

    /// Loads what a safetensors file and this network share, such as a backbone under a new head, and returns the names
    /// that only one of them has. In a store that is still empty there is nothing to compare yet: then the layers that
    /// the file lacks start from fresh values.
    ///
    /// # Errors
    /// As [`load`](Self::load), except that missing and unexpected names are none.
    pub fn load_partial(&self, path: impl AsRef<Path>) -> Result<Differences> {
        self.load_tensors(path.as_ref(), false)
    }

    /// Saves every parameter and buffer as a safetensors file. The old file stays whole until the new one is, and equal
    /// values give equal bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors = {
            let tensors = self.lock();
            tensors.vars.iter().chain(&tensors.buffers).map(|(name, var)| (name.clone(), var.clone())).collect()
        };
        file::write(path.as_ref(), &tensors)
    }

    /// Returns the differences that do not forbid the load.
    fn load_tensors(&self, path: &Path, strict: bool) -> Result<Differences> {
        let mut file = file::read(path)?;
        let mut tensors = self.lock();
        if tensors.vars.is_empty() && tensors.buffers.is_empty() {
            tensors.loaded = Some(Loaded { path: path.to_owned(), tensors: file, strict });
            return Ok(Differences::default());
        }
        let mut differences = Differences::default();
        let mut pairs = Vec::new();
        for (name, var) in tensors.vars.iter().chain(&tensors.buffers) {
            match file.remove(name) {
                None => differences.missing.push(name.clone()),
                Some(value) if value.shape() != var.shape() => {
                    differences.mismatched.push((name.clone(), value.shape().clone(), var.shape().clone()));
                }
                Some(value) => pairs.push((var, value.to_device(var.device())?.to_dtype(var.dtype())?)),
            }
        }
        differences.unexpected = file.into_keys().collect();
        differences.missing.sort();
        if !differences.mismatched.is_empty() || (strict && !differences.is_empty()) {
            return Err(Error::Mismatch { path: path.to_owned(), differences });
        }
        for (var, value) in pairs {
            var.set(&value)?;
        }
        Ok(differences)
    }

    fn lock(&self) -> MutexGuard<'_, Tensors> {
        // Every change below is one insertion or removal, so a thread that panicked has left nothing half-done.
        self.tensors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for VarStore {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut tensors = self.lock();
        if let Some(var) = tensors.get(name) {
            check_existing(var, name, &shape, dtype)?;
            return Ok(tensors.handed_out(name, var));
        }
        let value = match tensors.take_loaded(name, Some(&shape))? {
            Some(value) => value.to_device(device)?.to_dtype(dtype)?,
            None => init::initial(init, self.seed, name, &shape, dtype, device)?,
        };
        tensors.insert(name, &value)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut tensors = self.lock();
        if let Some(var) = tensors.get(name) {
            return Ok(tensors.handed_out(name, var));
        }
        match tensors.take_loaded(name, None)? {
            // The builder passes its own dtype here, wanted or not: a count stays an integer.
            Some(value) if value.dtype().is_int() => tensors.insert(name, &value.to_device(device)?),
            Some(value) => tensors.insert(name, &value.to_device(device)?.to_dtype(dtype)?),
            None => Err(Error::Unknown { name: name.to_owned() }.into()),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let tensors = self.lock();
        let loaded = tensors.loaded.as_ref().is_some_and(|loaded| loaded.tensors.contains_key(name));
        loaded || tensors.get(name).is_some()
    }
}

impl Tensors {
    fn get(&self, name: &str) -> Option<&Var> {
        self.vars.get(name).or_else(|| self.buffers.get(name))
    }

    /// The loaded file's tensor, which leaves the file: it is a parameter from now on.
    fn take_loaded(&mut self, name: &str, shape: Option<&Shape>) -> Result<Option<Tensor>> {
        let Some(loaded) = &mut self.loaded else { return Ok(None) };
        match (loaded.tensors.get(name), shape) {
            (None, _) if loaded.strict => Err(Error::NotInFile { name: name.to_owned(), path: loaded.path.clone() }),
            (Some(value), Some(asked)) if value.shape() != asked => Err(Error::FileShape {
                name: name.to_owned(),
                path: loaded.path.clone(),
                file: value.shape().clone(),
                asked: asked.clone(),
            }),
            _ => Ok(loaded.tensors.remove(name)),
        }
    }

    /// A buffer is a variable too, so that its layer can update it in place; `Var::from_tensor` gives it back.
    fn insert(&mut self, name: &str, value: &Tensor) -> candle_core::Result<Tensor> {
        let var = Var::from_tensor(value)?;
        let tensor = self.handed_out(name, &var);
        let untrained = is_buffer(name, value.dtype()) || self.is_frozen(name);
        let home = if untrained { &mut self.buffers } else { &mut self.vars };
        home.insert(name.to_owned(), var);
        Ok(tensor)
    }

    /// What a layer gets of `var`: of a frozen parameter its values, which loading a file changes too, but no variable.
    fn handed_out(&self, name: &str, var: &Var) -> Tensor {
        let frozen = self.is_frozen(name) && !is_buffer(name, var.dtype());
        if frozen { var.as_detached_tensor() } else { var.as_tensor().clone() }
    }

    fn is_frozen(&self, name: &str) -> bool {
        let under = |prefix: &String| {
            name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.frozen.iter().any(under)
    }
}

fn check_existing(var: &Var, name: &str, asked: &Shape, dtype: DType) -> Result<()> {
    if var.shape() != asked {
        let (existing, asked) = (var.shape().clone(), asked.clone());
        return Err(Error::ShapeConflict { name: name.to_owned(), existing, asked });
    }
    if var.dtype() != dtype {
        return Err(Error::DTypeConflict { name: name.to_owned(), existing: var.dtype(), asked: dtype });
    }
    Ok(())
}

/// candle's builder has no word for a buffer, so the field's names tell: batch normalisation's here and in candle-nn.
fn is_buffer(name: &str, dtype: DType) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    dtype.is_int() || last.starts_with("running_") || last == "num_batches_tracked"
}
