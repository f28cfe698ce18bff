//! From a data set to batches: order, transforms, worker threads. The batches never depend on the workers.

mod batches;
mod plan;
mod source;

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{BatchTransform, Dataset, IterableDataset, Transform, order::Order};
use crate::{Error, Result};
use batches::Worker;
use plan::Plan;
use source::{Read, Source};

pub use batches::Batches;

/// Some samples, ready for a forward pass.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The inputs `[N, …]`, float32: `[N, C, H, W]` for images.
    pub inputs: Tensor,
    /// The classes `[N]`, u32; where a [`BatchTransform`] mixes them, the probabilities `[N, classes]`, float32.
    pub targets: Tensor,
    /// Which samples of the data set these are.
    pub indices: Vec<usize>,
}

/// Cuts a data set into batches, an epoch at a time: shuffled, transformed and loaded ahead on background threads.
///
/// Batch `i` of epoch `e` is a pure function of (seed, `e`, `i`): the same for any number of workers, and the same again
/// when a resumed run starts in the middle of an epoch.
///
/// ```
/// use taper_trainer::data::{InMemoryDataset, Loader};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let dataset = InMemoryDataset::new((0..60).map(|i| i as f32).collect(), &[1, 2, 3], (0..10).collect())?;
/// let loader = Loader::new(dataset, 4)?.seed(42).shuffle(true);
/// assert_eq!(loader.batches_per_epoch(), 3);
/// for batch in loader.epoch(0, 1) {
///     let batch = batch?;
///     assert_eq!(batch.inputs.dims(), [batch.indices.len(), 1, 2, 3]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Loader {
    source: Source,
    transforms: Vec<Arc<dyn Transform>>,
    batch_transforms: Vec<Arc<dyn BatchTransform>>,
    batch_size: usize,
    seed: u64,
    order: Order,
    drop_last: bool,
    /// The most batches of an epoch.
    limit: Option<usize>,
    /// Whether every epoch is the first one again.
    first_epoch_alone: bool,
    workers: usize,
    prefetch: usize,
    device: Device,
}

impl Loader {
    /// Batches of `batch_size` samples in the data set's own order, loaded ahead by one worker, on the CPU.
    ///
    /// # Errors
    /// When the batch size is 0.
    pub fn new(dataset: impl Dataset + 'static, batch_size: usize) -> Result<Self> {
        Self::over(Source::Indexed(Arc::new(dataset)), batch_size)
    }

    /// Batches of `batch_size` samples in a stream's own order, `batches_per_epoch` an epoch. They are the same for any number of
    /// workers: the samples are read by one worker at a time, and transformed by all. [`ShuffleBuffer`](super::ShuffleBuffer)
    /// shuffles a stream; orders that ask for a certain sample are refused as an epoch begins.
    ///
    /// A stream that ends early makes for a smaller last batch; one that ends before is an error, since the epochs of a run are
    /// equally long. One of more samples is left there.
    ///
    /// # Errors
    /// When the batch size is 0.
    pub fn from_iterable(
        dataset: impl IterableDataset + 'static,
        batch_size: usize,
        batches_per_epoch: usize,
    ) -> Result<Self> {
        Self::over(Source::Stream { dataset: Arc::new(dataset), batches: batches_per_epoch }, batch_size)
    }

    fn over(source: Source, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            let value = batch_size.to_string();
            return Err(Error::Value { op: "Loader", argument: "batch_size", expected: "at least 1", value });
        }
        Ok(Self {
            source,
            transforms: Vec::new(),
            batch_transforms: Vec::new(),
            batch_size,
            seed: 0,
            order: Order::Sequential,
            drop_last: false,
            limit: None,
            first_epoch_alone: false,
            workers: 1,
            prefetch: 2,
            device: Device::Cpu,
        })
    }

    /// The seed of the order and of the transforms; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether each epoch has an order of its own; without it the samples come in the data set's.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.order = if shuffle { Order::Shuffled } else { Order::Sequential };
        self
    }

    /// Draws `samples` an epoch with replacement, each sample as often on average as its share of `weights`: against
    /// classes that are unequally frequent. Takes the place of [`shuffle`](Self::shuffle).
    ///
    /// Draw `i` of an epoch is a pure function of (seed, epoch, `i`), and so is what transforms make of it: a sample that
    /// comes again is augmented in another way.
    ///
    /// Source: PyTorch's `WeightedRandomSampler`.
    ///
    /// # Errors
    /// When there is not one weight a sample, a weight is negative or not finite, they sum to 0, or `samples` is more than 2²⁸.
    ///
    /// ```
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    ///
    /// # fn main() -> taper_trainer::Result<()> {
    /// let dataset = InMemoryDataset::new(vec![0.0, 1.0, 2.0], &[1], vec![0, 0, 1])?;
    /// let loader = Loader::new(dataset, 50)?.weighted(&[0.0, 1.0, 1.0], 100)?;
    /// for batch in loader.epoch(0, 0) {
    ///     assert!(!batch?.indices.contains(&0));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn weighted(mut self, weights: &[f64], samples: usize) -> Result<Self> {
        self.order = Order::weighted(weights, samples, self.source.indexed("weighted")?.len())?;
        Ok(self)
    }

    /// Shuffles so that each batch holds the classes in the shares they have in the data set. Takes the place of
    /// [`shuffle`](Self::shuffle).
    ///
    /// Formula: the j-th of a class's n samples, shuffled, stands at `(j + u) / n` of the epoch, with one uniform u for each
    /// class. Of K classes, a batch of B samples holds one whose share of the data set is s by at most `1 + (K − 2) · s` more
    /// or less often than `s · B`: fewer than two where all classes are equally frequent. For a stretch of the epoch of length t
    /// holds `n·t + δ` samples of each class, `|δ| ≤ 1`. A batch, then, has `B = N·t + Σδ` samples, of which
    /// `n·t + δ = s·B + (1 − s)·δ − s·Σδ'` are of the class, where the δ' are those of the other classes.
    ///
    /// # Errors
    /// When a target cannot be read.
    pub fn stratified(mut self) -> Result<Self> {
        self.order = Order::stratified(self.source.indexed("stratified")?)?;
        Ok(self)
    }

    /// Whether a last batch that is not full is left out.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Leaves all but the first `batches` batches of each epoch out.
    ///
    /// ```
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    ///
    /// let dataset = InMemoryDataset::new(vec![0.0; 10], &[1], vec![0; 10])?;
    /// let loader = Loader::new(dataset, 4)?.limit_batches(2);
    /// assert_eq!(loader.batches_per_epoch(), 2);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn limit_batches(mut self, batches: usize) -> Self {
        self.limit = Some(self.limit.map_or(batches, |limit| limit.min(batches)));
        self
    }

    /// The first epoch again and again: its order, and what transforms drew in it.
    pub(crate) fn first_epoch_alone(mut self) -> Self {
        self.first_epoch_alone = true;
        self
    }

    /// Adds a transform, after those that were added before.
    pub fn transform(mut self, transform: impl Transform + 'static) -> Self {
        self.transforms.push(Arc::new(transform));
        self
    }

    /// Adds a transform of whole batches, after those that were added before, and after all transforms of samples.
    pub fn batch_transform(mut self, transform: impl BatchTransform + 'static) -> Self {
        self.batch_transforms.push(Arc::new(transform));
        self
    }

    /// The number of background threads; with 0 each batch is loaded when it is asked for.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many finished batches each worker may have waiting before it stops to load, beside the one in its hands;
    /// 2 by default. So there are never more than `workers · (batches + 1)` batches that nobody has taken.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// Where the tensors go. The copy is made by the thread that takes the batches.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// The number of samples of the data set; of a stream, those of an epoch.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Indexed(dataset) => dataset.len(),
            Source::Stream { batches, .. } => batches.saturating_mul(self.batch_size),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of samples in a full batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let samples = self.order.samples(self.len());
        let whole = if self.drop_last { samples / self.batch_size } else { samples.div_ceil(self.batch_size) };
        self.limit.map_or(whole, |limit| whole.min(limit))
    }

    /// The shape of one input as batches hold it: that of the data set, after all transforms.
    ///
    /// # Errors
    /// When a transform does not apply to its input's shape.
    pub fn input_shape(&self) -> Result<Vec<usize>> {
        let shape = self.source.input_shape().to_vec();
        self.transforms.iter().try_fold(shape, |shape, transform| transform.output_shape(&shape))
    }

    /// What decides the batches, by name: a resumed run must have the same. What the samples hold is not among it.
    pub(crate) fn configuration(&self) -> [(&'static str, String); 8] {
        [
            ("samples", self.samples_in_words()),
            ("sample shape", format!("{:?}", self.source.input_shape())),
            ("batch_size", self.batch_size.to_string()),
            ("seed", self.seed.to_string()),
            ("order", self.order_in_words()),
            ("drop_last", self.drop_last.to_string()),
            ("transforms", format!("{:?}", self.transforms)),
            ("batch_transforms", format!("{:?}", self.batch_transforms)),
        ]
    }

    fn samples_in_words(&self) -> String {
        match &self.source {
            Source::Indexed(dataset) => dataset.len().to_string(),
            Source::Stream { dataset, .. } => format!("{} of {}", self.len(), dataset.configuration()),
        }
    }

    fn order_in_words(&self) -> String {
        let limit = self.limit.map(|limit| format!(", the first {limit} batches"));
        let alone = if self.first_epoch_alone { ", of the first epoch alone" } else { "" };
        format!("{}{}{alone}", self.order, limit.unwrap_or_default())
    }

    /// The batches of an epoch from `first_batch` on; none when there are no more than that.
    ///
    /// Workers start at once. They stop when the iterator is dropped, after the batch in their hands. After an error the
    /// iterator ends.
    pub fn epoch(&self, epoch: u32, first_batch: usize) -> Batches {
        let epoch = if self.first_epoch_alone { 0 } else { epoch };
        let end = self.batches_per_epoch();
        let next = first_batch.min(end);
        let plan = Arc::new(Plan { loader: self.clone(), read: Read::new(self, epoch, next), epoch });
        let workers = self.workers.min(end - next);
        let spawn = |worker| Worker::spawn(Arc::clone(&plan), next + worker, workers);
        let (workers, failure) = match (0..workers).map(spawn).collect() {
            Ok(workers) => (workers, None),
            Err(error) => (Vec::new(), Some(Error::Thread(error))),
        };
        Batches { plan, workers, turn: 0, next, end, failure }
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("samples", &self.len())
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .field("order", &format_args!("{}", self.order_in_words()))
            .field("drop_last", &self.drop_last)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
