//! What the tests share: a small data set in MNIST's format, and ways to run the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

/// The program, with `RUST_BACKTRACE` set: backtraces must not reach the user.
pub(crate) fn mnist(arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("mnist"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .env_remove("CANDLE_NUM_THREADS")
        .env_remove("MIMALLOC_PURGE_DELAY");
    command
}

/// An IDX array of unsigned bytes.
pub(crate) fn idx(extents: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x08, extents.len() as u8];
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Writes MNIST's four files with so many samples, each a bar whose place is its class, and returns the folder.
pub(crate) fn write_digits(dir: &Path, train: u32, test: u32) -> String {
    for (prefix, count) in [("train", train), ("t10k", test)] {
        let labels: Vec<u8> = (0..count).map(|i| (i * 7 % 10) as u8).collect();
        let pictures: Vec<u8> = (0..count).zip(&labels).flat_map(|(i, &label)| picture(i, label)).collect();
        fs::write(dir.join(format!("{prefix}-images-idx3-ubyte")), idx(&[count, 28, 28], &pictures)).unwrap();
        fs::write(dir.join(format!("{prefix}-labels-idx1-ubyte")), idx(&[count], &labels)).unwrap();
    }
    path(dir)
}

pub(crate) fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn picture(sample: u32, label: u8) -> Vec<u8> {
    let (column, grain) = (u32::from(label) * 2 + 4, sample % 13);
    let value = |i: u32| match (i / 28, i % 28) {
        (row, x) if (6..22).contains(&row) && (column..column + 3).contains(&x) => 255 - grain as u8,
        _ => 0,
    };
    (0..28 * 28).map(value).collect()
}
