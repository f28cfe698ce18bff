//! Whether a network trains or is evaluated, and where its random draws come from.

use crate::random::{counter, philox4x32};
use crate::{Error, Result};
use std::cell::Cell;

/// How a forward pass runs: in evaluation nothing is random, in training every draw is a pure function of
/// (seed, step, layer, element).
///
/// Make one `Mode` a forward pass: it counts the draws, and a layer's number is its order of drawing.
///
/// ```
/// use taper_ops::Mode;
///
/// let mode = Mode::train(42, 7, 0);
/// assert_eq!(mode.draw().unwrap().layer, 0);
/// assert_eq!(mode.draw().unwrap().layer, 1);
/// assert!(Mode::eval().draw().is_none());
/// ```
#[derive(Debug)]
pub struct Mode(Option<Training>);

#[derive(Debug)]
struct Training {
    seed: u64,
    step: u32,
    first_sample: u64,
    next_layer: Cell<u32>,
}

/// What one layer of one training step draws from: see [`dropout`](crate::dropout).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The run's seed, the key of the generator.
    pub seed: u64,
    /// The optimiser step, counted from 0.
    pub step: u32,
    /// The layer's number: its order of drawing within the forward pass, counted from 0.
    pub layer: u32,
    /// The place of the tensor's first sample in the whole batch of the step. A batch that is accumulated in pieces, or
    /// spread over several devices, then draws what the whole batch would have drawn.
    pub first_sample: u64,
}

impl Mode {
    /// Evaluation: dropout passes its input on, normalisation uses running statistics.
    pub fn eval() -> Self {
        Self(None)
    }

    /// Training step `step` of a run with this `seed`, on the samples from `first_sample` on of the step's batch.
    pub fn train(seed: u64, step: u32, first_sample: u64) -> Self {
        Self(Some(Training { seed, step, first_sample, next_layer: Cell::new(0) }))
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.0.is_some()
    }

    /// The next layer's draw; `None` in evaluation.
    pub fn draw(&self) -> Option<Draw> {
        let Training { seed, step, first_sample, next_layer } = self.0.as_ref()?;
        let layer = next_layer.get();
        next_layer.set(layer.wrapping_add(1));
        Some(Draw { seed: *seed, step: *step, layer, first_sample: *first_sample })
    }
}

impl Draw {
    /// The index, in the whole batch, of the first of a tensor's `count` draws, of which a sample has `per_sample`.
    pub(crate) fn first_index(&self, op: &'static str, per_sample: usize, count: usize) -> Result<u64> {
        let first = self.first_sample.checked_mul(per_sample as u64);
        let first = first.filter(|first| first.checked_add(count as u64).is_some());
        first.ok_or(Error::Overflow { op, what: "the batch that first_sample counts in" })
    }

    /// The random word of one index.
    pub(crate) fn word(&self, index: u64) -> u32 {
        philox4x32(self.seed, counter(index / 4, self.step, self.layer))[(index % 4) as usize]
    }
    /// The random words of all indices from `first` on.
    pub(crate) fn words(self, first: u64) -> impl Iterator<Item = u32> {
        let block = move |block| philox4x32(self.seed, counter(block, self.step, self.layer));
        (first / 4..).flat_map(block).skip((first % 4) as usize)
    }
}
