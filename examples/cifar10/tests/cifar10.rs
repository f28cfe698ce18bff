//! That the residual network learns a small set of pictures in CIFAR's format, goes on after a stop, and refuses what is no set.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;

/// Records of two classes: pictures with a bright upper or lower half, each a little different.
fn records(count: usize) -> Vec<u8> {
    let record = |i: usize| {
        let class = (i % 2) as u8;
        let pixel = move |p: usize| {
            let upper = p % 1024 < 512;
            let bright = upper == (class == 0);
            (if bright { 180 } else { 40 }) + ((i * 7919 + p * 104_729) % 40) as u8
        };
        std::iter::once(class).chain((0..3072).map(pixel))
    };
    (0..count).flat_map(record).collect()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cargo_bin!("cifar10"));
    command.current_dir(folder).args(["--blocks", "1", "--batch-size", "16", "--lr", "0.05"]).args(arguments);
    command.output().unwrap()
}

#[test]
fn it_learns_two_classes_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one.bin"), records(40)).unwrap();
    fs::write(folder.path().join("two.bin"), records(24)).unwrap();
    let files = ["--train", "one.bin,two.bin", "--test", "two.bin", "--epochs", "3"];
    let output = run(folder.path(), &files);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("BasicBlock(16, 32)"), "{told}");
    assert!(told.lines().last().unwrap().contains("100.00 %"), "{told}");
    for file in ["model.safetensors", "metrics.csv", "report.html"] {
        assert!(folder.path().join("runs/cifar10").join(file).exists(), "{file}");
    }
    let report = fs::read_to_string(folder.path().join("runs/cifar10/report.html")).unwrap();
    assert!(report.contains("automobile"));

    let resumed = run(folder.path(), &[&files[..], &["--resume"]].concat());
    assert_eq!(told, String::from_utf8(resumed.stdout).unwrap());
}

#[test]
fn what_is_no_set_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--data", "nowhere"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains("data_batch_1.bin") && told.contains("`--data` names the folder"), "{told}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_cuda_says_so_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--device", "cuda"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    assert!(told.contains("--features cuda") && told.contains("--device cpu"), "{told}");
}
