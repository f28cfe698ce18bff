//! Random numbers of the data: which sample comes when, and how it is changed.

use taper_ops::random;

/// Set in the layer word of every counter here: a network's layers count from 0, so data never draws what they draw.
const DATA: u32 = 0x8000_0000;
/// Purposes that are not a place in a list of transforms count down from the top.
const SPLIT: u32 = u32::MAX;
const FIRST_OF_BATCH: u32 = SPLIT - 1;
/// Each sample, and each batch, owns this many blocks of four words.
const BLOCKS_PER_SAMPLE: u64 = 1 << 20;

/// Uniform random numbers for one purpose: a sequence that is a pure function of seed, epoch, sample and transform.
///
/// Source: the words are Philox4x32-10, see [`taper_ops::random`].
///
/// ```
/// use taper_trainer::data::Draws;
///
/// let (mut first, mut again) = (Draws::for_sample(42, 3, 1_000, 0), Draws::for_sample(42, 3, 1_000, 0));
/// assert_eq!(first.below(6), again.below(6));
/// assert!((-1.0..1.0).contains(&first.uniform(-1.0, 1.0)));
/// ```
#[derive(Debug, Clone)]
pub struct Draws {
    seed: u64,
    epoch: u32,
    layer: u32,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Draws {
    /// The numbers of the transform at place `transform` in a loader's list, for sample `index` in `epoch`.
    pub fn for_sample(seed: u64, epoch: u32, index: usize, transform: u32) -> Self {
        let first_block = (index as u64).wrapping_mul(BLOCKS_PER_SAMPLE);
        Self::new(seed, epoch, DATA.wrapping_add(1).wrapping_add(transform), first_block)
    }

    /// The numbers of the batch transform at place `transform` in a loader's list, for `batch` of `epoch`.
    pub fn for_batch(seed: u64, epoch: u32, batch: usize, transform: u32) -> Self {
        let first_block = (batch as u64).wrapping_mul(BLOCKS_PER_SAMPLE);
        Self::new(seed, epoch, FIRST_OF_BATCH.wrapping_sub(transform), first_block)
    }

    /// The numbers that order the samples of `epoch`.
    pub(crate) fn for_order(seed: u64, epoch: u32) -> Self {
        Self::new(seed, epoch, DATA, 0)
    }

    /// The numbers that part a data set.
    pub(crate) fn for_split(seed: u64) -> Self {
        Self::new(seed, 0, SPLIT, 0)
    }

    fn new(seed: u64, epoch: u32, layer: u32, block: u64) -> Self {
        Self { seed, epoch, layer, block, words: [0; 4], used: 4 }
    }

    /// A uniform number in `low..high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * random::unit(self.word())
    }

    /// A uniform integer below `bound`, without the bias of a remainder; 0 for a bound of 0.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019.
    pub fn below(&mut self, bound: u64) -> u64 {
        let biased = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let word = u64::from(self.word()) << 32 | u64::from(self.word());
            let product = u128::from(word) * u128::from(bound);
            if product as u64 >= biased {
                return (product >> 64) as u64;
            }
        }
    }

    fn word(&mut self) -> u32 {
        if self.used == self.words.len() {
            self.words = random::philox4x32(self.seed, random::counter(self.block, self.epoch, self.layer));
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }
}
