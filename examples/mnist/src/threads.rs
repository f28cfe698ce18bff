//! Who may use the cores.

use crate::error::Result;

/// Gives the kernels `threads` threads, by default one a core.
pub(crate) fn set(threads: Option<u16>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    Ok(())
}

/// Keeps candle's own threads from the kernels' cores: after each elementwise operation they spin in wait of the next one,
/// which costs a training more than half of its time (README.md has the figures). candle reads their number from the
/// environment alone, so the program starts itself anew, as the same process, with `CANDLE_NUM_THREADS` set; a number
/// that is set already is left as it is.
#[cfg(unix)]
pub(crate) fn quieten_candle() {
    use std::os::unix::process::CommandExt;

    const NUMBER: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(NUMBER).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // This returns only where it fails; the training is then slower, and no worse.
        let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(NUMBER, "1").exec();
    }
}

/// There is no way here to go on as the same process.
#[cfg(not(unix))]
pub(crate) fn quieten_candle() {}
