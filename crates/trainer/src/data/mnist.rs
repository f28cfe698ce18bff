//! Data sets in the layout of MNIST: a pair of IDX files for training and one for testing.
//!
//! MNIST itself, Fashion-MNIST, KMNIST and QMNIST come as `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
//! `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, raw or with `.gz` appended.
//!
//! Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".

use std::fs::File;
use std::path::Path;

use super::{InMemoryDataset, idx::IdxArray};
use crate::{Error, Result};

/// The number of classes of MNIST and of its drop-in successors.
pub const CLASSES: u32 = 10;

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The samples to learn from.
    Train,
    /// The samples to be judged by.
    Test,
}

impl Split {
    fn prefix(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "t10k",
        }
    }

    fn images(self) -> String {
        format!("{}-images-idx3-ubyte", self.prefix())
    }

    fn labels(self) -> String {
        format!("{}-labels-idx1-ubyte", self.prefix())
    }
}

/// Reads one split from the bytes of its two files, raw or gzip-compressed: what `include_bytes!` embeds.
///
/// # Errors
/// When a file is malformed, the two hold unequally many samples, or a label is not below [`CLASSES`].
pub fn from_bytes(split: Split, images: &[u8], labels: &[u8]) -> Result<InMemoryDataset> {
    let (images_name, labels_name) = (split.images(), split.labels());
    let images = IdxArray::read(&images_name, images)?;
    let labels = IdxArray::read(&labels_name, labels)?;
    join((images_name, images), (labels_name, labels))
}

/// Reads one split from a folder that holds its two files under their usual names, with or without `.gz`.
///
/// # Errors
/// As [`from_bytes`], and when a file is missing or cannot be read.
pub fn from_dir(dir: impl AsRef<Path>, split: Split) -> Result<InMemoryDataset> {
    join(open(dir.as_ref(), split.images())?, open(dir.as_ref(), split.labels())?)
}

fn open<const AXES: usize>(dir: &Path, name: String) -> Result<(String, IdxArray<AXES>)> {
    let compressed = dir.join(format!("{name}.gz"));
    let raw = dir.join(name);
    let path = if !raw.exists() && compressed.exists() { compressed } else { raw };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(Error::Io { action: "read", path, source }),
    };
    let shown = path.display().to_string();
    let array = IdxArray::read(&shown, file)?;
    Ok((shown, array))
}

fn join(
    (images_name, images): (String, IdxArray<3>),
    (labels_name, labels): (String, IdxArray<1>),
) -> Result<InMemoryDataset> {
    let ([count, height, width], [label_count]) = (images.extents, labels.extents);
    if count != label_count {
        return Err(Error::CountMismatch {
            left: images_name,
            left_count: count,
            right: labels_name,
            right_count: label_count,
        });
    }
    let targets: Vec<u32> = labels.values.iter().map(|&label| u32::from(label)).collect();
    if let Some((index, &label)) = targets.iter().enumerate().find(|&(_, &label)| label >= CLASSES) {
        let label = i64::from(label);
        return Err(Error::LabelOutOfRange { source_name: labels_name, label, index, classes: CLASSES });
    }
    InMemoryDataset::from_pixels(images.values, &[1, height, width], targets)
}
