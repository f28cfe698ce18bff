//! CIFAR-10 and CIFAR-100 in their binary version: records of labels and 32 × 32 pixels in red, green and blue planes.
//!
//! CIFAR-10 comes as `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, CIFAR-100 as `train.bin` and `test.bin`.
//!
//! Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the layout that its author's page
//! describes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{InMemoryDataset, mnist::Split};
use crate::{Error, Result};

/// The shape of a picture.
const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Which of the data sets, and which of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes.
    Cifar10,
    /// A hundred classes.
    Cifar100,
    /// The pictures of CIFAR-100 in twenty superclasses of five classes each.
    Cifar100Coarse,
}

impl Cifar {
    /// The number of classes.
    pub fn classes(self) -> u32 {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
            Self::Cifar100Coarse => 20,
        }
    }

    /// The labels before the pixels of a record, and which of them is the target.
    fn labels(self) -> (usize, usize) {
        match self {
            Self::Cifar10 => (1, 0),
            Self::Cifar100Coarse => (2, 0),
            Self::Cifar100 => (2, 1),
        }
    }

    fn record(self) -> usize {
        self.labels().0 + PIXELS
    }

    /// The files of a split, and how many records each holds.
    fn files(self, split: Split) -> (&'static [&'static str], usize) {
        const BATCHES: &[&str] =
            &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
        match (self, split) {
            (Self::Cifar10, Split::Train) => (BATCHES, 10_000),
            (Self::Cifar10, Split::Test) => (&["test_batch.bin"], 10_000),
            (_, Split::Train) => (&["train.bin"], 50_000),
            (_, Split::Test) => (&["test.bin"], 10_000),
        }
    }
}

/// Reads records, of which there may be any number. `name` names them in errors.
///
/// # Errors
/// When the bytes are not a whole number of records, or a label is no class.
///
/// ```
/// use taper_trainer::data::{Dataset, cifar::{self, Cifar}};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let mut record = vec![51; 1 + 3 * 32 * 32];
/// record[0] = 7;
/// let dataset = cifar::from_bytes(Cifar::Cifar10, "one picture", &record)?;
/// assert_eq!((dataset.targets(), dataset.get(0)?.input[0]), ([7].as_slice(), 0.2));
/// # Ok(())
/// # }
/// ```
pub fn from_bytes(cifar: Cifar, name: &str, bytes: &[u8]) -> Result<InMemoryDataset> {
    let mut samples = (Vec::new(), Vec::new());
    read(cifar, name, bytes, &mut samples)?;
    InMemoryDataset::from_pixels(samples.0, &SHAPE, samples.1)
}

/// Reads one split from a folder that holds its files under their usual names.
///
/// # Errors
/// When a file is missing, cannot be read, or is not as long as that split's is, or a label is no class.
pub fn from_dir(dir: impl AsRef<Path>, cifar: Cifar, split: Split) -> Result<InMemoryDataset> {
    let (files, records) = cifar.files(split);
    let mut samples = (Vec::new(), Vec::new());
    for file in files {
        let path = dir.as_ref().join(file);
        let expected = records * cifar.record();
        let mut bytes = Vec::new();
        // Memory grows with what arrives, up to what should.
        File::open(&path)
            .and_then(|file| file.take(expected as u64 + 1).read_to_end(&mut bytes))
            .map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
        let name = path.display().to_string();
        if bytes.len() != expected {
            let found = if bytes.len() > expected { "more".to_owned() } else { bytes.len().to_string() };
            let reason =
                format!("the binary version of {cifar:?} has {expected} bytes here, but this file has {found}");
            return Err(Error::DataFile { file: name, reason });
        }
        read(cifar, &name, &bytes, &mut samples)?;
    }
    InMemoryDataset::from_pixels(samples.0, &SHAPE, samples.1)
}

fn read(cifar: Cifar, name: &str, bytes: &[u8], samples: &mut (Vec<u8>, Vec<u32>)) -> Result<()> {
    let (pixels, targets) = samples;
    let (labels, which) = cifar.labels();
    let records = bytes.chunks_exact(cifar.record());
    if !records.remainder().is_empty() {
        let (size, found) = (cifar.record(), bytes.len());
        let reason = format!("records of {cifar:?} have {size} bytes, of which {found} is no multiple");
        return Err(Error::DataFile { file: name.to_owned(), reason });
    }
    for (index, record) in records.enumerate() {
        let target = u32::from(record[which]);
        if target >= cifar.classes() {
            let (source_name, classes) = (name.to_owned(), cifar.classes());
            return Err(Error::LabelOutOfRange { source_name, label: target.into(), index, classes });
        }
        targets.push(target);
        pixels.extend_from_slice(&record[labels..]);
    }
    Ok(())
}
