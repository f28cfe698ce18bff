//! Reads the state dicts in `tests/golden/` that PyTorch wrote, and holds layers against them.
//!
//! A file is of one family. Under a layer's name it has the state dict, `conv1d.weight`, `conv1d.bias`, and beside it an
//! input, `conv1d.x`, with the output in evaluation, `conv1d.y`. Where training differs, it has the output in training
//! too, `batch_norm2d.train.y`, and the buffers that this leaves, `batch_norm2d.train.running_mean`.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use taper_layers::{Layer, VarStore};

/// The layers of one family.
pub struct StateDicts {
    family: &'static str,
    layers: BTreeMap<String, BTreeMap<String, Tensor>>,
    held: BTreeSet<String>,
}

impl StateDicts {
    /// The layers in `tests/golden/<family>.safetensors`.
    pub fn read(family: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{family}.safetensors"));
        let mut layers: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
        for (key, tensor) in candle_core::safetensors::load(&path, &Device::Cpu).unwrap() {
            let (layer, name) = key.split_once('.').unwrap_or_else(|| panic!("{family}: {key} names no layer"));
            layers.entry(layer.to_string()).or_default().insert(name.to_string(), tensor);
        }
        Self { family, layers, held: BTreeSet::new() }
    }

    /// Loads the state dict of `name` into what `build` makes under that name, before it is built and after, and holds
    /// its output in evaluation to PyTorch's to 1e-5 and what it saves to the same names, shapes, dtypes and bits; then
    /// its output in training and the buffers that this leaves.
    pub fn hold<L: Layer>(&mut self, name: &str, build: impl Fn(VarBuilder<'_>) -> candle_core::Result<L>) {
        let what = format!("{} {name}", self.family);
        let state = self.layers.get(name).unwrap_or_else(|| panic!("{what}: not in the file")).clone();
        let (trained, mut state): (BTreeMap<_, _>, BTreeMap<_, _>) =
            state.into_iter().partition(|(key, _)| key.starts_with("train."));
        let (x, y) = (state.remove("x").unwrap(), state.remove("y").unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.safetensors");
        let named = state.iter().map(|(key, tensor)| (format!("{name}.{key}"), tensor.clone())).collect();
        candle_core::safetensors::save(&named, &file).unwrap();
        for load_first in [true, false] {
            let store = VarStore::new(1, DType::F32, &Device::Cpu);
            if load_first {
                store.load(&file).unwrap();
            }
            let layer = build(store.builder().pp(name)).unwrap();
            if !load_first {
                store.load(&file).unwrap();
            }
            assert_eq!(store.unused(), [""; 0], "{what}: the layer asks for less than the state dict");
            close(&what, &layer.eval().forward(&x).unwrap(), &y);
            let saved = folder.path().join("saved.safetensors");
            store.save(&saved).unwrap();
            let saved = candle_core::safetensors::load(&saved, &Device::Cpu).unwrap();
            let keys = |tensors: &std::collections::HashMap<String, Tensor>| {
                tensors.iter().map(|(key, t)| (key.clone(), (t.dims().to_vec(), t.dtype(), bits(t)))).collect()
            };
            let (saved, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (keys(&saved), keys(&named));
            assert!(saved == expected, "{what}: saves {:?} for {:?}", saved.keys(), expected.keys());
            if !trained.is_empty() {
                let y = layer.train(7, 0, 0).forward(&x).unwrap();
                let buffers = store.buffers();
                for (key, expected) in &trained {
                    let key = key.trim_start_matches("train.");
                    let actual = if key == "y" { &y } else { buffers[&format!("{name}.{key}")].as_tensor() };
                    close(&format!("{what} in training: {key}"), actual, expected);
                }
            }
        }
        self.held.insert(name.to_string());
    }

    /// Fails where the file has a layer that was not held.
    pub fn finish(self) {
        let all: BTreeSet<String> = self.layers.into_keys().collect();
        assert_eq!(self.held, all, "{}", self.family);
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    values(tensor).into_iter().map(f64::to_bits).collect()
}

fn close(what: &str, actual: &Tensor, expected: &Tensor) {
    assert_eq!(actual.dims(), expected.dims(), "{what}: shape");
    for (i, (a, b)) in values(actual).into_iter().zip(values(expected)).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1. + b.abs()), "{what}: element {i} is {a}, PyTorch has {b}");
    }
}
