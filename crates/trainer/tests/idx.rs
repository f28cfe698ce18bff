//! Reading the MNIST layout: what is accepted, and what each malformed file is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;

use candle_core::{DType, Device, Tensor};
use flate2::{Compression, write::GzEncoder};
use taper_trainer::data::mnist::{self, Split};
use taper_trainer::data::{Dataset, IdxFault, InMemoryDataset};
use taper_trainer::{Error, Result};

const COUNT: usize = 3;
const HEIGHT: usize = 2;
const WIDTH: usize = 4;

fn idx(extents: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x08, extents.len() as u8];
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn images() -> Vec<u8> {
    let pixels: Vec<u8> = (0..COUNT * HEIGHT * WIDTH).map(|i| (i * 10) as u8).collect();
    idx(&[COUNT as u32, HEIGHT as u32, WIDTH as u32], &pixels)
}

fn labels() -> Vec<u8> {
    idx(&[COUNT as u32], &[7, 0, 9])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn check_content(dataset: &InMemoryDataset) {
    assert_eq!(dataset.len(), COUNT);
    assert_eq!(dataset.input_shape(), [1, HEIGHT, WIDTH]);
    assert_eq!(dataset.targets(), [7, 0, 9]);
    let sample = dataset.get(1).unwrap();
    assert_eq!(sample.target, 0);
    let expected: Vec<f32> = (8..16).map(|i| (i * 10) as f32 / 255.0).collect();
    assert_eq!(sample.input, expected);
}

/// The message of the error, which must be one line.
fn refusal(result: Result<InMemoryDataset>) -> (Error, String) {
    let error = result.expect_err("must be refused");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    (error, message)
}

#[test]
fn raw_and_compressed_bytes_hold_the_same_samples() {
    check_content(&mnist::from_bytes(Split::Train, &images(), &labels()).unwrap());
    check_content(&mnist::from_bytes(Split::Train, &gzip(&images()), &gzip(&labels())).unwrap());
}

#[test]
fn a_folder_holds_raw_and_compressed_files_in_any_mixture() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t10k-images-idx3-ubyte.gz"), gzip(&images())).unwrap();
    fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels()).unwrap();
    check_content(&mnist::from_dir(dir.path(), Split::Test).unwrap());

    let (error, message) = refusal(mnist::from_dir(dir.path(), Split::Train));
    assert!(matches!(error, Error::Io { action: "read", .. }));
    assert!(message.contains("train-images-idx3-ubyte: No such file"), "{message}");
}

#[test]
fn a_wrong_magic_number_is_refused() {
    let (error, message) = refusal(mnist::from_bytes(Split::Train, &labels(), &labels()));
    assert!(matches!(error, Error::Idx { fault: IdxFault::Magic { found: 0x801, .. }, .. }));
    assert_eq!(
        message,
        "train-images-idx3-ubyte: the magic number must be 0x00000803 (unsigned bytes, 3 axes), got 0x00000801"
    );
    let mut floats = images();
    floats[2] = 0x0d;
    let (_, message) = refusal(mnist::from_bytes(Split::Train, &floats, &labels()));
    assert!(message.ends_with("got 0x00000d03"), "{message}");
}

#[test]
fn every_truncation_is_refused_and_names_both_lengths() {
    let whole = images();
    for end in 0..whole.len() {
        let (error, message) = refusal(mnist::from_bytes(Split::Test, &whole[..end], &labels()));
        let Error::Idx { file, fault } = error else { panic!("{message}") };
        assert_eq!(file, "t10k-images-idx3-ubyte");
        match fault {
            IdxFault::ShortHeader { expected: 16, found } => assert_eq!(found, end),
            IdxFault::Truncated { expected: 24, found, .. } => assert_eq!(found, end - 16),
            fault => panic!("{end}: {fault}"),
        }
    }
}

#[test]
fn truncated_and_damaged_compression_is_refused() {
    let whole = gzip(&images());
    for end in 2..whole.len() {
        refusal(mnist::from_bytes(Split::Train, &whole[..end], &labels()));
    }
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let (error, _) = refusal(mnist::from_bytes(Split::Train, &damaged, &labels()));
    assert!(matches!(error, Error::Idx { fault: IdxFault::Read(_), .. }));
}

#[test]
fn trailing_bytes_are_refused_and_counted() {
    let mut long = images();
    long.extend([1, 2, 3]);
    for bytes in [long.clone(), gzip(&long)] {
        let (_, message) = refusal(mnist::from_bytes(Split::Train, &bytes, &labels()));
        assert_eq!(message, "train-images-idx3-ubyte: the header [3, 2, 4] promises 24 values, but the file holds 27");
    }
}

#[test]
fn hostile_lengths_are_refused_without_the_memory_they_promise() {
    for extents in [[u32::MAX; 3], [u32::MAX, 1, 2], [1 << 15, 1 << 8, 1 << 8]] {
        let (error, message) = refusal(mnist::from_bytes(Split::Train, &idx(&extents, &[0; 5]), &labels()));
        assert!(matches!(error, Error::Idx { fault: IdxFault::TooLarge { .. }, .. }), "{message}");
    }
    let just_accepted = idx(&[1 << 14, 1 << 8, 1 << 8], &[0; 5]);
    let (_, message) = refusal(mnist::from_bytes(Split::Train, &just_accepted, &labels()));
    assert!(message.ends_with("promises 1073741824 values, but the file ends after 5"), "{message}");
}

#[test]
fn images_and_labels_must_be_equally_many() {
    let (error, message) = refusal(mnist::from_bytes(Split::Train, &images(), &idx(&[2], &[1, 2])));
    assert!(matches!(error, Error::CountMismatch { left_count: 3, right_count: 2, .. }));
    assert_eq!(message, "train-images-idx3-ubyte holds 3 samples, but train-labels-idx1-ubyte holds 2");
}

#[test]
fn a_label_out_of_range_is_refused() {
    let (error, message) = refusal(mnist::from_bytes(Split::Test, &images(), &idx(&[3], &[9, 10, 1])));
    assert!(matches!(error, Error::LabelOutOfRange { label: 10, index: 1, classes: 10, .. }));
    assert_eq!(message, "t10k-labels-idx1-ubyte: label 10 of sample 1 is out of range for 10 classes");
}

#[test]
fn arrays_and_tensors_in_memory_are_checked() {
    let dataset = InMemoryDataset::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 3], vec![4, 2]).unwrap();
    assert_eq!(dataset.get(1).unwrap().input, [4.0, 5.0, 6.0]);
    assert!(matches!(dataset.get(2), Err(Error::Value { argument: "index", .. })));
    let (_, message) = refusal(InMemoryDataset::new(vec![1.0; 7], &[1, 3], vec![4, 2]));
    assert!(message.contains("7 values for 2 targets of shape [1, 3]"), "{message}");
    assert!(InMemoryDataset::from_pixels(vec![], &[usize::MAX, 2], vec![0, 1]).is_err());

    let device = Device::Cpu;
    let inputs = Tensor::arange(0f64, 12., &device).unwrap().reshape((3, 2, 2)).unwrap().transpose(1, 2).unwrap();
    let targets = Tensor::new(&[2i64, 0, 1], &device).unwrap();
    let dataset = InMemoryDataset::from_tensors(&inputs, &targets).unwrap();
    assert_eq!((dataset.len(), dataset.input_shape()), (3, [2, 2].as_slice()));
    assert_eq!(dataset.get(1).unwrap().input, [4.0, 6.0, 5.0, 7.0]);

    let (error, _) = refusal(InMemoryDataset::from_tensors(&inputs, &targets.narrow(0, 0, 2).unwrap()));
    assert!(matches!(error, Error::CountMismatch { left_count: 3, right_count: 2, .. }));
    let negative = Tensor::new(&[2i64, -1, 1], &device).unwrap();
    assert!(refusal(InMemoryDataset::from_tensors(&inputs, &negative)).1.ends_with("from 0 on, got -1"));
    let float = targets.to_dtype(DType::F32).unwrap();
    assert!(refusal(InMemoryDataset::from_tensors(&inputs, &float)).1.contains("F32"));
}
