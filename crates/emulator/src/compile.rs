//! From a kernel's text to a function of this process.

use crate::RawLaunch;
use libloading::Library;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use taper_ops::emulation::Launch;

/// Runs a kernel on the arguments of a launch.
pub(crate) type Function = unsafe extern "C" fn(*mut RawLaunch) -> i32;

const RUNTIME: &str = include_str!("runtime.h");

/// Contraction off, as for a device; undefined behaviour traps, which needs no library.
const FLAGS: [&str; 12] = [
    "-std=c++17",
    "-O1",
    "-shared",
    "-fPIC",
    "-ffp-contract=off",
    "-fsanitize=undefined",
    "-fsanitize-undefined-trap-on-error",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    "-U_FORTIFY_SOURCE",
];

/// The function of a launch, compiled where no run before did so.
pub(crate) fn function(launch: &Launch<'_>) -> Result<Function, String> {
    static LOADED: Mutex<Option<HashMap<u64, Library>>> = Mutex::new(None);
    let text = text(launch)?;
    let mut hasher = DefaultHasher::new();
    (&text, FLAGS).hash(&mut hasher);
    let key = hasher.finish();
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match loaded.get_or_insert_default().entry(key) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let path = compiled(launch.kernel, key, &text)?;
            // SAFETY: a library that was compiled from `text`, which nothing runs in when it is loaded.
            entry.insert(unsafe { Library::new(path) }.map_err(|error| error.to_string())?)
        }
    };
    let name = format!("start_{}", launch.function);
    // SAFETY: `text` defines every such name with this type. Libraries stay loaded to the end.
    let function = unsafe { library.get::<Function>(name.as_bytes()) };
    Ok(*function.map_err(|_| format!("{} has no kernel {}", launch.kernel, launch.function))?)
}

/// The runtime, the kernels, and a function with C's calling convention for each of them.
fn text(launch: &Launch<'_>) -> Result<String, String> {
    let define = |name: &&str| format!("#define {name}\n");
    let definitions: String = launch.definitions.iter().map(define).collect();
    let names = launch.source.split("\nKERNEL void ").skip(1).map(|rest| rest.split('(').next());
    let start = |name| {
        format!(
            "extern \"C\" int start_{name}(emulator::Launch *launch) {{ return emulator::start<{name}>(*launch); }}\n"
        )
    };
    let starts: String = names.map(|name| name.map(start)).collect::<Option<_>>().ok_or("a kernel has no name")?;
    Ok(format!("{RUNTIME}\n{definitions}\n#line 1 \"{}\"\n{}\n{starts}", launch.kernel, launch.source))
}

/// The library of a text. Several processes may want it at once: it appears whole, under the name of its content.
fn compiled(kernel: &str, key: u64, text: &str) -> Result<PathBuf, String> {
    let fault = |error: std::io::Error| format!("{kernel}: {error}");
    let folder = folder().map_err(fault)?;
    let library = folder.join(format!("{kernel}-{key:016x}.so"));
    if library.exists() {
        return Ok(library);
    }
    let own = |extension: &str| folder.join(format!("{kernel}-{key:016x}-{}.{extension}", std::process::id()));
    let (source, made) = (own("cpp"), own("so"));
    fs::write(&source, text).map_err(fault)?;
    let outcome = run_compiler(&source, &made);
    fs::remove_file(&source).map_err(fault)?;
    outcome.map_err(|error| format!("{kernel}: {error}"))?;
    fs::rename(&made, &library).map_err(fault)?;
    Ok(library)
}

fn run_compiler(source: &Path, made: &Path) -> Result<(), String> {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let output = Command::new(&compiler).args(FLAGS).arg(source).arg("-o").arg(made).output().map_err(|error| {
        let compiler = compiler.to_string_lossy();
        format!("these tests need a C++ compiler, and {compiler} does not start ({error}); install one or set CXX")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("does not compile as C++: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Beside the test binaries, which `cargo clean` removes.
fn folder() -> std::io::Result<PathBuf> {
    let binary = std::env::current_exe()?;
    let folder = binary.ancestors().nth(2).unwrap_or(Path::new(".")).join("cuda-emulator");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
