//! Safetensors files, read whole and written whole or not at all.

use crate::{Error, Result};
use candle_core::safetensors::Load;
use candle_core::{Device, Tensor, Var};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every tensor of the file at `path`, on the CPU, in the dtype of the file.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    let not_safetensors = |reason: String| Error::NotSafetensors { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| not_safetensors(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let tensor = view.load(&Device::Cpu).map_err(|error| not_safetensors(format!("tensor `{name}`: {error}")))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// Writes `tensors` to `path` atomically. Equal tensors give equal bytes.
pub(super) fn write(path: &Path, tensors: &BTreeMap<String, Var>) -> Result<()> {
    let mut data = Vec::with_capacity(tensors.len());
    for var in tensors.values() {
        let mut bytes = Vec::with_capacity(var.elem_count() * var.dtype().size_in_bytes());
        var.write_bytes(&mut bytes)?;
        data.push(bytes);
    }
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, var), bytes) in tensors.iter().zip(&data) {
        let view = TensorView::new(var.dtype().into(), var.dims().to_vec(), bytes).map_err(candle_core::Error::from)?;
        views.push((name, view));
    }
    let bytes = safetensors::serialize(views, None).map_err(candle_core::Error::from)?;
    replace(path, &bytes).map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })
}

/// Puts `bytes` at `path` so that at every moment the old file or the new one is there whole, through a crash too.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = sibling(path)?;
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; this one would only say that the file was never made.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself is on the disk once the folder is; folders cannot be opened for this on Windows.
    #[cfg(unix)]
    File::open(folder(path))?.sync_all()?;
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the folder of `path` that no other save uses: a rename is atomic within one file system only.
fn sibling(path: &Path) -> std::io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(folder(path).join(hidden))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
