//! Reading CIFAR's binary version: what a record holds, and what each malformed file is told.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::fs;

use proptest::prelude::*;
use taper_trainer::Error;
use taper_trainer::data::Dataset;
use taper_trainer::data::cifar::{self, Cifar};
use taper_trainer::data::mnist::Split;

const PIXELS: usize = 3072;

/// A record whose pixels count up from `start`.
fn record(labels: &[u8], start: usize) -> Vec<u8> {
    labels.iter().copied().chain((start..start + PIXELS).map(|i| (i % 251) as u8)).collect()
}

fn records(labels: &[&[u8]]) -> Vec<u8> {
    labels.iter().enumerate().flat_map(|(i, labels)| record(labels, i * 17)).collect()
}

#[test]
fn each_label_is_found_in_its_place() {
    let ten = records(&[&[3], &[0], &[9]]);
    let hundred = records(&[&[19, 99], &[0, 42], &[7, 0]]);
    for (cifar, bytes, targets) in [
        (Cifar::Cifar10, &ten, [3, 0, 9]),
        (Cifar::Cifar100, &hundred, [99, 42, 0]),
        (Cifar::Cifar100Coarse, &hundred, [19, 0, 7]),
    ] {
        let dataset = cifar::from_bytes(cifar, "records", bytes).unwrap();
        assert_eq!((dataset.input_shape(), dataset.targets()), ([3, 32, 32].as_slice(), targets.as_slice()));
        let expected: Vec<f32> = (34..34 + PIXELS).map(|i| (i % 251) as f32 / 255.0).collect();
        assert_eq!(dataset.get(2).unwrap().input, expected);
    }
    assert!(cifar::from_bytes(Cifar::Cifar10, "nothing", &[]).unwrap().is_empty());
}

#[test]
fn labels_and_sizes_are_checked() {
    let refusal = |cifar, bytes: &[u8]| cifar::from_bytes(cifar, "records", bytes).unwrap_err();
    let message = "records: label 10 of sample 1 is out of range for 10 classes";
    assert_eq!(refusal(Cifar::Cifar10, &records(&[&[9], &[10]])).to_string(), message);
    assert!(matches!(
        refusal(Cifar::Cifar100, &records(&[&[0, 100]])),
        Error::LabelOutOfRange { label: 100, index: 0, classes: 100, .. }
    ));
    assert!(matches!(
        refusal(Cifar::Cifar100Coarse, &records(&[&[20, 0]])),
        Error::LabelOutOfRange { label: 20, classes: 20, .. }
    ));
    let error = refusal(Cifar::Cifar10, &records(&[&[9], &[1]])[..6145]);
    assert_eq!(error.to_string(), "records: records of Cifar10 have 3073 bytes, of which 6145 is no multiple");
    assert!(matches!(error, Error::DataFile { .. }));
}

#[test]
fn a_split_is_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = (folder.path().join("test_batch.bin"), 10_000 * 3073);
    let read = || cifar::from_dir(folder.path(), Cifar::Cifar10, Split::Test);
    let missing = read().unwrap_err().to_string();
    assert!(missing.starts_with(&format!("cannot read {}: ", path.display())), "{missing}");

    let mut bytes = vec![0; whole];
    bytes[9_999 * 3073] = 8;
    fs::write(&path, &bytes).unwrap();
    let dataset = read().unwrap();
    assert_eq!((dataset.len(), dataset.target(9_999).unwrap()), (10_000, 8));

    // At the end of a record, too.
    for (len, found) in [(0, "0"), (9_999 * 3073, "30726927"), (whole - 1, "30729999"), (whole + 1, "more")] {
        bytes.resize(len, 0);
        fs::write(&path, &bytes).unwrap();
        let expected = format!(
            "{}: the binary version of Cifar10 has 30730000 bytes here, but this file has {found}",
            path.display()
        );
        assert_eq!(read().unwrap_err().to_string(), expected);
    }
    for (cifar, split, file) in [
        (Cifar::Cifar10, Split::Train, "data_batch_1.bin"),
        (Cifar::Cifar100, Split::Train, "train.bin"),
        (Cifar::Cifar100Coarse, Split::Test, "test.bin"),
    ] {
        let error = cifar::from_dir(folder.path(), cifar, split).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_are_records_or_refused(start in prop::collection::vec(any::<u8>(), 0..9), len in 0usize..12_400) {
        let bytes: Vec<u8> = start.iter().copied().cycle().take(if start.is_empty() { 0 } else { len }).collect();
        for cifar in [Cifar::Cifar10, Cifar::Cifar100, Cifar::Cifar100Coarse] {
            let record = if cifar == Cifar::Cifar10 { 3073 } else { 3074 };
            match cifar::from_bytes(cifar, "bytes", &bytes) {
                Ok(dataset) => prop_assert_eq!(dataset.len() * record, bytes.len()),
                Err(Error::DataFile { .. }) => prop_assert!(!bytes.len().is_multiple_of(record)),
                Err(Error::LabelOutOfRange { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
