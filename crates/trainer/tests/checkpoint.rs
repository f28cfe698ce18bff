//! A checkpoint that is damaged in any way is passed over by name, and a folder that cannot be written is told at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Var};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use taper_trainer::data::{InMemoryDataset, Loader};
use taper_trainer::{Checkpoints, CsvLog, Error, FitStart, Observer, Result, Trainer};

const NAME: &str = "step-00000002.safetensors";

/// What a fit found when it started: the checkpoint it goes on from, and why each other was passed over.
#[derive(Default)]
struct Seen {
    resumed: bool,
    reasons: Vec<String>,
}

impl Observer for Seen {
    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        let resume = start.resume.unwrap();
        self.resumed = resume.from.is_some();
        self.reasons = resume.skipped.iter().map(|skipped| skipped.reason.clone()).collect();
        assert!(resume.skipped.iter().all(|skipped| skipped.path.ends_with(NAME)));
        // What was found is all that the test asks for.
        Err(Error::Candle(candle_core::Error::Msg("seen".to_owned())))
    }
}

fn loader() -> Loader {
    Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0]).unwrap(), 2).unwrap().workers(0)
}

fn fit(folder: &Path, observer: impl Observer) -> Result<()> {
    let weight = Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight))
        .checkpoints(Checkpoints::new(folder))
        .resume(true)
        .observer(observer);
    trainer.fit(&loader(), None).map(drop)
}

/// What a fit makes of a folder whose only checkpoint holds `bytes`.
fn seen(folder: &Path, bytes: &[u8]) -> Seen {
    fs::write(folder.join(NAME), bytes).unwrap();
    let mut seen = Seen::default();
    assert_eq!(fit(folder, &mut seen).unwrap_err().to_string(), "seen");
    seen
}

fn whole(folder: &Path) -> Vec<u8> {
    fit(folder, CsvLog::new(folder.join("metrics.csv"))).unwrap();
    fs::read(folder.join(NAME)).unwrap()
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bytes = whole(folder);
    assert!(seen(folder, &bytes).resumed);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let longer = [&bytes[..], b"\0"].concat();
    for damaged in [&flipped, &longer, &bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &bytes[..5]] {
        let seen = seen(folder, damaged);
        assert!(!seen.resumed && seen.reasons.len() == 1);
        assert!(!seen.reasons[0].is_empty() && !seen.reasons[0].contains('\n'), "{:?}", seen.reasons);
    }
    assert_eq!(seen(folder, &flipped).reasons, ["its checksum does not fit its content"]);
}

#[test]
fn foreign_files_are_passed_over_and_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let claims = br#"{"checksum":{"dtype":"U32","shape":[],"data_offsets":[0,4]},"parameter.weight":{"dtype":"F32","shape":[1099511627776],"data_offsets":[4,4398046511108]}}"#;
    let claims = [&(claims.len() as u64).to_le_bytes()[..], claims, &[0; 8]].concat();
    let foreign =
        safetensors::serialize([("weight", Var::zeros(3, DType::F32, &Device::Cpu).unwrap().as_tensor())], None);
    let foreign = foreign.unwrap();
    for bytes in [&b""[..], b"garbage", &[0; 64], &[255; 64], &huge, &claims, &foreign] {
        let seen = seen(folder.path(), bytes);
        assert!(!seen.resumed && seen.reasons.len() == 1);
    }
    assert_eq!(seen(folder.path(), &foreign).reasons, ["it has no checksum"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("checkpoints");
    let error = fit(&inside, Seen::default()).unwrap_err();
    assert!(matches!(&error, Error::Io { action: "create", path, .. } if *path == inside), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot create {}: ", inside.display())));
    let error = fit(folder.path(), CsvLog::new(inside.join("metrics.csv"))).unwrap_err();
    assert!(matches!(&error, Error::Io { action: "write", .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left but the file");
}

#[test]
fn a_checkpoint_that_cannot_take_its_place_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that holds something is in the way of the rename, which is the last thing to fail.
    let weight = Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let occupied = folder.path().join(NAME);
    fs::create_dir_all(occupied.join("something")).unwrap();
    let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight)).checkpoints(Checkpoints::new(folder.path()));
    let error = trainer.fit(&loader(), None).unwrap_err();
    assert!(matches!(&error, Error::Io { action: "write", path, .. } if *path == occupied), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_fit_that_starts_anew_takes_the_folder_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("step-00000009.safetensors"), "of a longer run").unwrap();
    fs::write(folder.path().join("notes.txt"), "kept").unwrap();
    let weight = Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let checkpoints = Checkpoints::new(folder.path()).every_steps(1).every_epoch(false).keep_last(0);
    Trainer::new(vars, |x, _| x.matmul(&weight)).epochs(3).checkpoints(checkpoints).fit(&loader(), None).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["notes.txt", "step-00000006.safetensors"]);
}
