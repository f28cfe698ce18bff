//! A build for the CPU has no trace of CUDA.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::process::Command;

/// The packages that `taper` is built from with these arguments.
fn packages(arguments: &[&str]) -> String {
    let cargo = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "taper", "--edges", "normal,build", "--prefix", "none"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8(cargo.stdout).unwrap()
}

fn has_cuda(packages: &str) -> bool {
    packages.lines().any(|line| ["cudarc ", "candle-kernels "].iter().any(|name| line.starts_with(name)))
}

#[test]
fn only_the_feature_brings_cuda_in() {
    assert!(!has_cuda(&packages(&[])));
    assert!(!has_cuda(&packages(&["--features", "hub,images"])));
    assert!(has_cuda(&packages(&["--features", "cuda"])));
}
