//! That the loop learns, and that stopping and going on change no bit of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

fn run(checkpoint: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(cargo_bin!("custom_loop"));
    let output = command.arg("--checkpoint").arg(checkpoint).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many of the 1,000 test digits were read right.
fn right(told: &str) -> u32 {
    let last = told.lines().last().unwrap();
    last.split_once(": ").unwrap().1.strip_suffix(" of 1000 test digits right").unwrap().parse().unwrap()
}

#[test]
fn it_learns_and_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name).join("checkpoint.safetensors"));
    let told = run(&whole, &["--steps", "60"]);
    assert!(told.starts_with("from step 0\n"), "{told}");
    assert!(right(&told) > 700, "{told}");

    run(&parts, &["--steps", "60", "--until", "23"]);
    assert!(fs::read(&whole).unwrap() != fs::read(&parts).unwrap());
    let resumed = run(&parts, &["--steps", "60"]);
    assert!(resumed.starts_with("from step 23\n"), "{resumed}");
    assert_eq!(told.lines().last(), resumed.lines().last());
    assert!(fs::read(&whole).unwrap() == fs::read(&parts).unwrap(), "the checkpoints differ");
}

#[test]
fn another_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    fs::write(&path, b"garbage, and more of it than eight bytes").unwrap();
    let output = Command::new(cargo_bin!("custom_loop")).arg("--checkpoint").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(&path).unwrap(), b"garbage, and more of it than eight bytes");
}
