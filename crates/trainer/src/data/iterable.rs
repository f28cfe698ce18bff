//! Samples that come one after the other, from a source that cannot be read at any place.

use super::{Draws, Sample};
use crate::{Error, Result};
use std::iter::Fuse;

/// A stream of labelled examples of one shape: archives read from front to back, what a simulation makes, a network connection.
///
/// [`Loader::from_iterable`](super::Loader::from_iterable) makes batches of it. An epoch is read from its beginning, by one thread
/// at a time: a run that resumes within one reads over what it has had. So a resume has the same bits where the samples of an
/// epoch are the same each time they are read.
pub trait IterableDataset: Send + Sync {
    /// The shape of one input, without the batch axis: `[C, H, W]` for images.
    fn input_shape(&self) -> &[usize];

    /// The samples of `epoch`, counted from 0, from the first on; of a source that knows no epochs, whatever comes.
    ///
    /// # Errors
    /// When the stream cannot be opened; the loader hands the error on in place of the batch.
    fn samples(&self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Sample>> + Send>>;

    /// What decides which samples come in which order, in words: a resumed run must have the same.
    fn configuration(&self) -> String {
        "a stream".to_owned()
    }
}

/// Shuffles a stream as far as a buffer of some samples can: the next sample is drawn from the buffer, and the stream's next one
/// takes its place. A sample so comes at most `size − 1` places early, and late by any number of them, the more the rarer.
///
/// The order is a pure function of (seed, epoch) and the stream. Source: tf.data's `shuffle`, WebDataset's and Hugging Face's.
///
/// ```
/// use taper_trainer::Result;
/// use taper_trainer::data::{IterableDataset, Loader, Sample, ShuffleBuffer};
///
/// /// Counts, without an end.
/// struct Counting;
///
/// impl IterableDataset for Counting {
///     fn input_shape(&self) -> &[usize] {
///         &[1]
///     }
///
///     fn samples(&self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Sample>> + Send>> {
///         Ok(Box::new((1000 * epoch..).map(|i| Ok(Sample { input: vec![i as f32], target: i % 2 }))))
///     }
/// }
///
/// let loader = Loader::from_iterable(ShuffleBuffer::new(Counting, 100, 42)?, 8, 50)?;
/// assert_eq!(loader.batches_per_epoch(), 50);
/// for batch in loader.epoch(3, 48) {
///     assert_eq!(batch?.inputs.dims(), [8, 1]);
/// }
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ShuffleBuffer<D> {
    dataset: D,
    size: usize,
    seed: u64,
}

impl<D: IterableDataset> ShuffleBuffer<D> {
    /// Shuffles `dataset` in a buffer of `size` samples.
    ///
    /// # Errors
    /// When the size is 0.
    pub fn new(dataset: D, size: usize, seed: u64) -> Result<Self> {
        if size == 0 {
            let value = size.to_string();
            return Err(Error::Value { op: "ShuffleBuffer", argument: "size", expected: "at least 1", value });
        }
        Ok(Self { dataset, size, seed })
    }
}

impl<D: IterableDataset> IterableDataset for ShuffleBuffer<D> {
    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn samples(&self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Sample>> + Send>> {
        Ok(Box::new(Shuffled {
            stream: self.dataset.samples(epoch)?.fuse(),
            buffer: Vec::new(),
            size: self.size,
            draws: Draws::for_order(self.seed, epoch),
        }))
    }

    fn configuration(&self) -> String {
        let Self { dataset, size, seed } = self;
        format!("{}, shuffled in a buffer of {size} by seed {seed}", dataset.configuration())
    }
}

struct Shuffled {
    stream: Fuse<Box<dyn Iterator<Item = Result<Sample>> + Send>>,
    buffer: Vec<Sample>,
    size: usize,
    draws: Draws,
}

impl Iterator for Shuffled {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.buffer.len() < self.size {
            match self.stream.next() {
                Some(Ok(sample)) => self.buffer.push(sample),
                Some(Err(error)) => return Some(Err(error)),
                // What the stream has left is in the buffer.
                None => break,
            }
        }
        if self.buffer.is_empty() {
            return None;
        }
        let drawn = self.draws.below(self.buffer.len() as u64) as usize;
        Some(Ok(self.buffer.swap_remove(drawn)))
    }
}
