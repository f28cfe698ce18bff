//! Who may use the cores and the memory.

use crate::error::Result;

/// Gives the kernels `threads` threads, by default one a core.
pub(crate) fn set(threads: Option<u16>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    Ok(())
}

/// Variables of the environment that are read before a program could set them, and what a training wants of them: README.md
/// has the figures.
#[cfg(unix)]
const ENVIRONMENT: [(&str, &str); 2] = [
    // candle's own threads spin after each elementwise operation in wait of the next one, on the cores of the kernels.
    ("CANDLE_NUM_THREADS", "1"),
    // Memory that is free for 10 ms goes back to the system: each step would get the pages of its activations anew.
    ("MIMALLOC_PURGE_DELAY", "-1"),
];

/// Starts the program anew, as the same process, where a variable of `ENVIRONMENT` is not set; what is set is left as it is.
#[cfg(unix)]
pub(crate) fn settle() {
    use std::os::unix::process::CommandExt;

    let missing: Vec<_> = ENVIRONMENT.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // This returns only where it fails; the training is then slower, and no worse.
        let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).envs(missing).exec();
    }
}

/// There is no way here to go on as the same process.
#[cfg(not(unix))]
pub(crate) fn settle() {}
