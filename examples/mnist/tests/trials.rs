//! Trials: what finds faults without a training, and leaves nothing behind.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod support;

use std::fs;

use support::{mnist, path, write_digits};
use tempfile::tempdir;

#[test]
fn trials_leave_no_file_and_say_what_they_came_to() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 55, 20);
    let out = path(&dir.path().join("out"));
    let flags = ["--fast-dev-run", "3", "--check-determinism", "--detect-anomaly"];
    let output =
        mnist(&[&["--data", &data, "--out", &out, "--batch-size", "10"], &flags[..]].concat()).output().unwrap();
    let (told, progress) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{progress}");
    let expected =
        "the first step has the same bits each time\n3 steps and their validation ran; nothing was written\n";
    assert_eq!(told, expected);
    assert!(progress.contains("epoch  1/1  train loss "), "{progress}");
    assert!(!dir.path().join("out").exists());
}

#[test]
fn the_networks_gradients_are_right() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 55, 20);
    let out = path(&dir.path().join("out"));
    let output = mnist(&["--data", &data, "--out", &out, "--check-gradients"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for dtype in ["float32, as it trains", "float64"] {
        assert!(told.contains(&format!("in {dtype}: gradient check of `model` passed: ")), "{told}");
    }
    let (_, double) = told.split_once("in float64").unwrap();
    assert!(!double.contains("unresolved"), "{told}");
    assert!(!dir.path().join("out").exists());
}

#[test]
fn a_few_batches_are_trained_on_again_and_again() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 55, 20);
    let out = dir.path().join("out");
    let few = ["--overfit-batches", "2", "--epochs", "30", "--batch-size", "10"];
    let output = mnist(&[&["--data", &data, "--out", &path(&out)], &few[..]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let csv = fs::read_to_string(out.join("metrics.csv")).unwrap();
    let last: Vec<&str> = csv.lines().last().unwrap().split(',').collect();
    assert_eq!(last[..2], ["30", "60"]);
    assert_eq!(last[6], "1", "the accuracy on the same digits: {csv}");
}
