//! What a tensor is filled with: a kind of value and a seed, whatever its shape.

use crate::random::Random;
use candle_core::{DType, Device, Result, Tensor};
use proptest::prelude::*;

/// A way to fill a tensor of any shape: the same fill gives the same values on every machine.
///
/// Apart from the shape, so that a geometry can shrink without drawing the values anew.
///
/// ```
/// use candle_core::DType;
/// use taper_gradcheck::strategies::{Fill, Kind};
///
/// let x = Fill { kind: Kind::Distinct, seed: 7 }.tensor(&[2, 3], DType::F32)?;
/// let mut values: Vec<f32> = x.flatten_all()?.to_vec1()?;
/// values.sort_by(f32::total_cmp);
/// assert_eq!(values, [-0.75, -0.5, -0.25, 0.0, 0.25, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// What the values are like.
    pub kind: Kind,
    /// Which values of that kind.
    pub seed: u64,
}

/// What a tensor's values are like. Every value is exact in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// −1, 0 or 1.
    Signs,
    /// −1 or 1.
    Units,
    /// Integers from −4 to 4: sums of their products are exact, so two orders of summation agree bit for bit.
    Integers,
    /// In (−2, 2), dense.
    Reals,
    /// Magnitudes from 0.5 to 1.5, of both signs: no kink at 0 is near.
    AwayFromZero,
    /// Multiples of 1/4 around 0, no two alike, in random order: no tie of a maximum is near.
    Distinct,
}

impl Fill {
    /// The values of a tensor of `len` elements, in row-major order.
    ///
    /// ```
    /// use taper_gradcheck::strategies::{Fill, Kind};
    ///
    /// assert!(Fill { kind: Kind::Units, seed: 1 }.values(9).iter().all(|x| x.abs() == 1.0));
    /// ```
    pub fn values(&self, len: usize) -> Vec<f64> {
        let mut random = Random::new(self.seed);
        if self.kind == Kind::Distinct {
            return shuffled(len, &mut random);
        }
        if self.kind == Kind::AwayFromZero {
            return random.signed(len);
        }
        let mut below = |bound: u64| (random.word() >> 32) % bound;
        let draw = |_| match self.kind {
            Kind::Signs => below(3) as f64 - 1.0,
            Kind::Units => below(2) as f64 * 2.0 - 1.0,
            Kind::Integers => below(9) as f64 - 4.0,
            // An odd numerator: never 0, and 16 significant bits.
            _ => (2.0 * below(65_536) as f64 + 1.0) / 32_768.0 - 2.0,
        };
        (0..len).map(draw).collect()
    }

    /// A contiguous tensor on the CPU.
    ///
    /// # Errors
    /// Where candle cannot convert to `dtype`.
    pub fn tensor(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        Tensor::from_vec(self.values(shape.iter().product()), shape, &Device::Cpu)?.to_dtype(dtype)
    }
}

/// Fisher and Yates.
fn shuffled(len: usize, random: &mut Random) -> Vec<f64> {
    let mut values: Vec<f64> = (0..len).map(|i| (i as f64 - (len / 2) as f64) / 4.0).collect();
    for i in (1..len).rev() {
        values.swap(i, ((random.word() >> 32) % (i as u64 + 1)) as usize);
    }
    values
}

/// Dense values in (−2, 2); shrinks to small integers, then to {−1, 0, 1}.
pub fn reals() -> impl Strategy<Value = Fill> {
    fill(&[Kind::Signs, Kind::Integers, Kind::Reals, Kind::Reals, Kind::Reals])
}

/// Integers from −4 to 4, whose sums are exact; shrinks to {−1, 0, 1}.
pub fn integers() -> impl Strategy<Value = Fill> {
    fill(&[Kind::Signs, Kind::Integers, Kind::Integers])
}

/// Values at a distance of at least 0.5 from 0, as a check of ReLU needs; shrinks to {−1, 1}.
pub fn away_from_zero() -> impl Strategy<Value = Fill> {
    fill(&[Kind::Units, Kind::AwayFromZero, Kind::AwayFromZero])
}

/// Values that differ by at least 1/4 from each other, as a check of a maximum needs.
pub fn distinct() -> impl Strategy<Value = Fill> {
    fill(&[Kind::Distinct])
}

/// Draws uniformly among `kinds` and shrinks towards the first.
fn fill(kinds: &[Kind]) -> impl Strategy<Value = Fill> + use<> {
    (proptest::sample::select(kinds.to_vec()), any::<u64>().no_shrink()).prop_map(|(kind, seed)| Fill { kind, seed })
}
