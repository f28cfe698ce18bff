//! A run that is killed at any moment, within the writing of a checkpoint too, and resumed, leaves the very files of one
//! that was not. The test starts itself as the process to kill.
//!
//! The long test: `cargo test -p taper-trainer --test kill -- --ignored --nocapture twenty_kills`

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::DType;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Net, loader};
use taper_trainer::optim::{AdamW, AdamWConfig};
use taper_trainer::{Auroc, Checkpoints, CsvLog, EarlyStopping, Ema, JsonLines, Monitor, Trainer};

const FOLDER: &str = "TAPER_TEST_FOLDER";
const WORKERS: &str = "TAPER_TEST_WORKERS";
const THREADS: &str = "TAPER_TEST_THREADS";
/// Of five steps, each with a checkpoint.
const EPOCHS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "the process that the other tests start and kill"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let folder = Path::new(&folder);
    rayon::ThreadPoolBuilder::new().num_threads(number(THREADS)).build().unwrap().install(|| {
        let net = Net::with_batch_norm(DType::F32);
        Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
            .buffers(net.buffers.clone())
            .optimizer(AdamW::new(AdamWConfig::default()).unwrap())
            .ema(Ema::new(0.9))
            .epochs(EPOCHS)
            .metric(Auroc::default())
            .early_stopping(EarlyStopping::new(Monitor::Max("auroc".to_owned()), EPOCHS))
            .checkpoints(
                Checkpoints::new(folder)
                    .every_steps(1)
                    .keep_last(2)
                    .keep_best(Monitor::Max("auroc".to_owned()))
                    .keep_every(10),
            )
            .observer(CsvLog::new(folder.join("metrics.csv")))
            .observer(JsonLines::new(folder.join("log.jsonl")))
            .resume(true)
            .fit(&loader().workers(number(WORKERS)), Some(&loader()))
            .unwrap();
    });
}

fn start(folder: &Path, workers: usize, threads: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored"])
        .env(FOLDER, folder)
        .envs([(WORKERS, workers.to_string()), (THREADS, threads.to_string())])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn finish(folder: &Path, workers: usize, threads: usize) -> BTreeMap<String, Vec<u8>> {
    assert!(start(folder, workers, threads).wait().unwrap().success());
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// The names in a folder that end so; a folder that is not there yet has none.
fn names(folder: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(end)).collect()
}

/// Waits until `ready`, or panics when the child has ended or nothing comes.
fn wait_until(child: &mut Child, mut ready: impl FnMut() -> bool) {
    let since = Instant::now();
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        assert!(since.elapsed() < PATIENCE, "nothing to kill it at");
    }
}

/// Kills a run so many times, and compares what it leaves with `whole`; how many kills fell into the writing of a file.
fn kill_and_compare(whole: &BTreeMap<String, Vec<u8>>, kills: usize, workers: usize, threads: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut torn = 0;
    for kill in 0..kills {
        let newest = || names(folder, ".safetensors").into_iter().max();
        let before = newest();
        let mut child = start(folder, workers, threads);
        wait_until(&mut child, || newest() > before);
        // Half of the kills fall anywhere within about two steps, the others into the writing of a file if they are in time.
        if kill % 2 == 0 {
            let nanoseconds = (kill as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 8_000_000;
            std::thread::sleep(Duration::from_nanos(nanoseconds));
        } else {
            wait_until(&mut child, || !names(folder, ".tmp").is_empty());
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it ended before it was killed");
        torn += usize::from(!names(folder, ".tmp").is_empty());
    }
    assert!(finish(folder, workers, threads) == *whole, "{kills} kills, {workers} workers, {threads} threads");
    torn
}

fn uninterrupted() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let whole = finish(folder.path(), 0, 1);
    let names: Vec<_> = whole.keys().map(String::as_str).collect();
    // The last two, those of every ten epochs, and the best, which may be one of them.
    let kept = [
        "log.jsonl",
        "metrics.csv",
        "step-00000050.safetensors",
        "step-00000100.safetensors",
        "step-00000119.safetensors",
    ];
    assert!(kept.iter().all(|name| names.contains(name)) && names.contains(&"step-00000120.safetensors"), "{names:?}");
    assert!((6..=7).contains(&names.len()), "{names:?}");
    whole
}

#[test]
fn a_run_that_is_killed_leaves_the_files_of_one_that_was_not() {
    kill_and_compare(&uninterrupted(), 3, 2, 2);
}

#[test]
#[ignore = "160 kills, half a minute"]
fn twenty_kills_at_any_number_of_workers_and_threads() {
    let whole = uninterrupted();
    for workers in [0, 1, 2, 4] {
        for threads in [1, 2] {
            let torn = kill_and_compare(&whole, 20, workers, threads);
            eprintln!("{workers} workers, {threads} threads: 20 kills, {torn} of them while a file was written");
        }
    }
}
