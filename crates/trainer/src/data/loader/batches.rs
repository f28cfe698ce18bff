//! The batches of an epoch in order, and the workers that load them ahead.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::Batch;
use super::plan::{Plan, RawBatch};
use crate::{Error, Result};

/// The batches of one epoch, from [`Loader::epoch`](super::Loader::epoch).
pub struct Batches {
    pub(super) plan: Arc<Plan>,
    pub(super) workers: Vec<Worker>,
    /// The worker whose batch is due: they take turns, so batches arrive in order without a buffer to sort them.
    pub(super) turn: usize,
    pub(super) next: usize,
    pub(super) end: usize,
    pub(super) failure: Option<Error>,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let batch = self.take().and_then(|batch| batch.into_tensors(&self.plan.loader.device));
        self.next = if batch.is_ok() { self.next + 1 } else { self.end };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the epoch early.
        (usize::from(self.next < self.end), Some(self.end - self.next))
    }
}

impl FusedIterator for Batches {}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("next", &self.next).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Batches {
    fn take(&mut self) -> Result<RawBatch> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let Some(worker) = self.workers.get(self.turn) else {
            return self.plan.load(self.next);
        };
        self.turn = (self.turn + 1) % self.workers.len();
        worker.batches.recv().unwrap_or(Err(Error::WorkerLost { batch: self.next }))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // The receivers go first: a worker that waits for room in its channel, or for its turn at a stream, then ends.
        self.plan.read.end();
        let threads: Vec<_> = self.workers.drain(..).map(|worker| worker.thread).collect();
        for thread in threads {
            // A panic in a worker has already been handed on as an error.
            let _ = thread.join();
        }
    }
}

pub(super) struct Worker {
    batches: Receiver<Result<RawBatch>>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Loads every `stride`-th batch from `first` on.
    pub(super) fn spawn(plan: Arc<Plan>, first: usize, stride: usize) -> std::io::Result<Self> {
        let (sender, batches) = sync_channel(plan.loader.prefetch);
        let thread = thread::Builder::new().name("taper-loader".to_owned()).spawn(move || {
            for batch in (first..plan.loader.batches_per_epoch()).step_by(stride) {
                let batch = plan.load(batch);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    // Nobody takes this worker's further turns at the stream.
                    plan.read.end();
                    return;
                }
            }
        })?;
        Ok(Self { batches, thread })
    }
}
