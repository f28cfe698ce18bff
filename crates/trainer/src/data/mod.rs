//! Where samples come from, and how they become batches.
//!
//! A [`Dataset`] answers for one sample at a time.

mod idx;

pub use idx::IdxFault;

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
/// belongs in a transform, not here.
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

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
