//! Where the digits come from: embedded in the program, from the hub, or from a folder.

use taper::trainer::data::mnist::{self, Split};
use taper::trainer::data::{Dataset, InMemoryDataset};

use crate::cli::Source;
use crate::error::{Error, Result};

/// The digits to learn from, and those to be judged by.
#[derive(Debug)]
pub(crate) struct Digits {
    pub(crate) train: InMemoryDataset,
    pub(crate) test: InMemoryDataset,
}

/// Reads both parts.
pub(crate) fn load(source: &Source) -> Result<Digits> {
    Ok(Digits { train: split(source, Split::Train)?, test: split(source, Split::Test)? })
}

/// Reads the digits to be judged by alone.
pub(crate) fn load_test(source: &Source) -> Result<InMemoryDataset> {
    split(source, Split::Test)
}

fn split(source: &Source, split: Split) -> Result<InMemoryDataset> {
    let digits = match source {
        Source::Embedded => embedded(split)?,
        Source::Hub => hub(split)?,
        Source::Folder(dir) => mnist::from_dir(dir, split)?,
    };
    if digits.is_empty() || digits.input_shape() != [1, 28, 28] {
        let (count, shape) = (digits.len(), digits.input_shape());
        return Err(Error::new(format!(
            "the {split:?} split has {count} pictures of shape {shape:?}; the network reads [1, 28, 28], at least one"
        )));
    }
    Ok(digits)
}

/// 8,000 training and 1,000 test digits of MNIST.
fn embedded(split: Split) -> Result<InMemoryDataset> {
    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../data/", $name, "-ubyte.gz")).as_slice()
        };
    }
    let (images, labels) = match split {
        Split::Train => (file!("train-images-idx3"), file!("train-labels-idx1")),
        Split::Test => (file!("t10k-images-idx3"), file!("t10k-labels-idx1")),
    };
    Ok(mnist::from_bytes(split, images, labels)?)
}

#[cfg(feature = "hub")]
fn hub(split: Split) -> Result<InMemoryDataset> {
    use taper::trainer::data::hub::Hub;
    let digits = Hub::from_env().and_then(|hub| hub.mnist(split));
    digits.map_err(|e| Error::new(format!("{e}, or go on with `--data embedded`")))
}

#[cfg(not(feature = "hub"))]
fn hub(_: Split) -> Result<InMemoryDataset> {
    Err(Error::new(
        "this build cannot reach the hub; build with `cargo run --release -p mnist --features hub -- --data hub`, \
         or go on with `--data embedded`",
    ))
}
