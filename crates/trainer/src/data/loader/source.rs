//! Where a loader's samples come from, and how those of one batch are read, by whichever thread's turn it is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::super::{Dataset, IterableDataset, Sample, order::Order, panics};
use super::Loader;
use crate::{Error, Result};

type Samples = Box<dyn Iterator<Item = Result<Sample>> + Send>;

/// What a loader goes over.
#[derive(Clone)]
pub(super) enum Source {
    /// Samples that are read by index.
    Indexed(Arc<dyn Dataset>),
    /// Samples that come one after the other, and how many batches of them are an epoch.
    Stream { dataset: Arc<dyn IterableDataset>, batches: usize },
}

impl Source {
    pub(super) fn input_shape(&self) -> &[usize] {
        match self {
            Self::Indexed(dataset) => dataset.input_shape(),
            Self::Stream { dataset, .. } => dataset.input_shape(),
        }
    }

    /// The data set, for an order that asks for certain samples.
    pub(super) fn indexed(&self, order: &'static str) -> Result<&Arc<dyn Dataset>> {
        match self {
            Self::Indexed(dataset) => Ok(dataset),
            Self::Stream { dataset, .. } => {
                let expected = "asked for of a data set that is read by index: shuffle a stream by a ShuffleBuffer";
                Err(Error::Value { op: "Loader", argument: order, expected, value: dataset.configuration() })
            }
        }
    }
}

/// A sample as it was read.
pub(super) struct Drawn {
    pub(super) index: usize,
    /// What decides the draws of its transforms.
    pub(super) number: usize,
    pub(super) sample: Sample,
}

/// The samples of one epoch, to be read a batch at a time.
pub(super) enum Read {
    Indexed { dataset: Arc<dyn Dataset>, order: Vec<usize>, repeats: bool },
    Stream { reader: Mutex<Reader>, turn: Condvar },
}

/// The place in a stream.
pub(super) struct Reader {
    dataset: Arc<dyn IterableDataset>,
    epoch: u32,
    /// Why nothing is read at all.
    refused: Option<Error>,
    /// The stream, from the first batch that is asked for on.
    samples: Option<Samples>,
    /// The batch that is read next.
    batch: usize,
    /// The samples that have been read.
    read: usize,
    /// The samples that the whole epoch asks for.
    wanted: usize,
    /// Whether the last batch may be smaller.
    smaller_last: bool,
    /// Whether no batch is read any more.
    ended: bool,
}

impl Read {
    /// The samples of `epoch`, which will be asked for from batch `first` on, each batch once.
    pub(super) fn new(loader: &Loader, epoch: u32, first: usize) -> Self {
        match &loader.source {
            Source::Indexed(dataset) => {
                let order = loader.order.indices(loader.seed, epoch, dataset.len());
                Self::Indexed { dataset: Arc::clone(dataset), order, repeats: loader.order.repeats() }
            }
            Source::Stream { dataset, .. } => {
                let in_order = matches!(loader.order, Order::Sequential);
                let reader = Reader {
                    dataset: Arc::clone(dataset),
                    epoch,
                    refused: if in_order { None } else { loader.source.indexed("shuffle").err() },
                    samples: None,
                    batch: first,
                    read: 0,
                    wanted: loader.batches_per_epoch().saturating_mul(loader.batch_size),
                    smaller_last: !loader.drop_last,
                    ended: false,
                };
                Self::Stream { reader: Mutex::new(reader), turn: Condvar::new() }
            }
        }
    }

    /// The samples of a batch; of a stream's, once the batches before it have been read.
    pub(super) fn batch(&self, batch: usize, batch_size: usize) -> Result<Vec<Drawn>> {
        match self {
            Self::Indexed { dataset, order, repeats } => {
                let start = batch * batch_size;
                let end = start.saturating_add(batch_size).min(order.len());
                let read = |(position, &index): (usize, &usize)| {
                    let sample = panics::catch(|| dataset.get(index))
                        .unwrap_or_else(|message| Err(Error::LoadPanic { index, message }))?;
                    Ok(Drawn { index, number: if *repeats { position } else { index }, sample })
                };
                (start..).zip(&order[start..end]).map(read).collect()
            }
            Self::Stream { reader, turn } => {
                let mut reader = lock(reader);
                while reader.batch != batch && !reader.ended {
                    reader = turn.wait(reader).unwrap_or_else(PoisonError::into_inner);
                }
                if reader.ended {
                    return Err(Error::WorkerLost { batch });
                }
                let read = reader.batch(batch_size);
                reader.batch += 1;
                reader.ended |= read.is_err();
                turn.notify_all();
                read
            }
        }
    }

    /// No batch is read any more: who waits for a turn need not.
    pub(super) fn end(&self) {
        if let Self::Stream { reader, turn } = self {
            lock(reader).ended = true;
            turn.notify_all();
        }
    }
}

impl Reader {
    fn batch(&mut self, batch_size: usize) -> Result<Vec<Drawn>> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        if self.samples.is_none() {
            let (dataset, epoch) = (&self.dataset, self.epoch);
            let opened = panics::catch(|| dataset.samples(epoch));
            let opened = opened.unwrap_or_else(|message| Err(Error::LoadPanic { index: 0, message }));
            self.samples = Some(opened?);
            // What batches before the first held is read over.
            for _ in 0..self.batch.saturating_mul(batch_size) {
                self.next()?;
            }
        }
        let mut drawn = Vec::with_capacity(batch_size);
        while drawn.len() < batch_size {
            let index = self.read;
            match self.next() {
                Ok(sample) => drawn.push(Drawn { index, number: index, sample }),
                Err(Error::StreamEnded { .. }) if self.may_end(drawn.len(), batch_size) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(drawn)
    }

    /// Whether the stream may end after so many samples of a batch.
    fn may_end(&self, samples: usize, batch_size: usize) -> bool {
        self.smaller_last && samples > 0 && self.wanted - self.read < batch_size
    }

    fn next(&mut self) -> Result<Sample> {
        let (index, samples) = (self.read, &mut self.samples);
        let next = panics::catch(|| samples.as_mut().and_then(Iterator::next).transpose());
        let sample = next.unwrap_or_else(|message| Err(Error::LoadPanic { index, message }))?;
        let ended = Error::StreamEnded { epoch: self.epoch, samples: index, wanted: self.wanted };
        self.read += usize::from(sample.is_some());
        sample.ok_or(ended)
    }
}

fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    // Panics of the stream are caught, and nothing else here can.
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}
