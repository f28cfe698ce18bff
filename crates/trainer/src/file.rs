//! Files that are whole or not there.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What marks a file that is being written.
pub(crate) const TEMPORARY: &str = "tmp";

/// Replaces the file at `path` by `bytes`: whoever reads it, even after a crash, finds the former content or all of the new.
///
/// # Errors
/// When the file cannot be written; the former one is then still there.
///
/// ```
/// let path = std::env::temp_dir().join("taper-doc-write-atomic");
/// taper_trainer::write_atomic(&path, b"whole")?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"whole");
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), taper_trainer::Error>(())
/// ```
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let written = write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The first error is the one to tell; what could not be written may well not be there to remove.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Io { action: "write", path: path.to_owned(), source });
    }
    sync_folder(path)
}

/// Creates `folder`, and makes sure before hours of work that files can be written to it.
///
/// # Errors
/// When it cannot be created or written to.
///
/// ```
/// let file = std::env::temp_dir().join("taper-doc-prepare-folder");
/// std::fs::write(&file, b"in the way").unwrap();
/// assert!(taper_trainer::prepare_folder(&file.join("below")).is_err());
/// # std::fs::remove_file(file).ok();
/// ```
pub fn prepare_folder(folder: &Path) -> Result<()> {
    let fail = |action, source| Error::Io { action, path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(|source| fail("create", source))?;
    let probe = folder.join(".probe").with_extension(TEMPORARY);
    File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(|source| fail("write to", source))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    name.into()
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A rename lasts only once its folder is on the disk too. Windows has no such call, and needs none.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        return synced.map_err(|source| Error::Io { action: "write to", path: folder.to_owned(), source });
    }
    Ok(())
}
