//! Where samples come from, and how they become batches.
//!
//! A [`Dataset`] answers for one sample at a time, a [`Loader`] turns it into an epoch of batches. What is random on the
//! way (the order, a [`Transform`]) is a pure function of (seed, epoch, sample): batches are the same for any number of
//! threads, and after a resume at any batch.

pub mod cifar;
mod draws;
#[cfg(feature = "hub")]
pub mod hub;
mod idx;
#[cfg(feature = "images")]
mod image_files;
#[cfg(feature = "images")]
mod image_grid;
#[cfg(feature = "hub")]
mod image_table;
mod iterable;
mod loader;
mod memory;
pub mod mnist;
#[cfg(feature = "images")]
mod open_image;
mod order;
mod panics;
mod subset;
mod transform;

pub use draws::Draws;
pub use idx::IdxFault;
#[cfg(feature = "images")]
pub use image_files::ImageFiles;
#[cfg(feature = "images")]
pub use image_grid::save_image_grid;
pub use iterable::{IterableDataset, ShuffleBuffer};
pub use loader::{Batch, Batches, Loader};
pub use memory::InMemoryDataset;
#[cfg(feature = "images")]
pub use open_image::open_image;
pub use subset::{Subset, random_split, stratified_split};
pub use transform::{
    Affine, BatchTransform, CenterCrop, ColorJitter, CutMix, Cutout, MixUp, Normalize, RandomAffine, RandomCrop,
    RandomErasing, RandomHorizontalFlip, RandomVerticalFlip, Resize, Samples, Targets, Transform,
};

use crate::Result;

/// One labelled example.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The values of the input, in row-major order of the data set's [`input_shape`](Dataset::input_shape).
    pub input: Vec<f32>,
    /// The class, counted from 0.
    pub target: u32,
}

/// A finite collection of labelled examples of one shape, read by index.
///
/// Loaders read it from several threads at once, so reading is by shared reference; what is random about an example
/// belongs in a [`Transform`], not here.
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// The shape of one input, without the batch axis: `[C, H, W]` for images.
    fn input_shape(&self) -> &[usize];

    /// The sample at `index`, which is less than [`len`](Dataset::len).
    ///
    /// # Errors
    /// When the sample cannot be read; the loader hands the error on in place of the batch.
    fn get(&self, index: usize) -> Result<Sample>;

    /// The target of the sample at `index`. Where it can be told without reading the input, as splits and stratified
    /// batches ask for every one, this should be overridden.
    ///
    /// # Errors
    /// When the sample cannot be read.
    fn target(&self, index: usize) -> Result<u32> {
        Ok(self.get(index)?.target)
    }

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn input_shape(&self) -> &[usize] {
        (**self).input_shape()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        (**self).get(index)
    }

    fn target(&self, index: usize) -> Result<u32> {
        (**self).target(index)
    }
}
