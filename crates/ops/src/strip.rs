//! The microkernel: sums of products in float32, held in vector registers until they are whole.
//!
//! Every dense algorithm of convolution is this one loop over different tables. The vectors run along what lies side by
//! side in memory, the columns along what a small packed matrix numbers; each sum is taken in the order of `k`, so that
//! all tiers with a fused product give the same bits.

use crate::simd::{Tier, mul_add};
use pulp::{Simd, WithSimd};

/// Vectors of one tile: two share each broadcast.
const VECTORS: usize = 2;

/// Vectors of a tile of few columns, whose sums would else wait for one another.
const WIDE: usize = 4;

/// Lanes that a tile may read and write beyond [`Strip::len`]: those of two vectors of the widest tier.
pub(crate) const SLACK: usize = 32;

/// `out[j·pitch + i] (+)= Σₖ a[rows[k] + i] · b[k·columns + j]` for all `i < len` and `j < columns`.
///
/// Slices reach [`SLACK`] elements beyond what the formula reads and writes; what lands there means nothing.
#[derive(Debug)]
pub(crate) struct Strip<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) rows: &'a [usize],
    pub(crate) b: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) pitch: usize,
    pub(crate) len: usize,
    pub(crate) accumulate: bool,
}

/// Columns `0..count` cut into as few runs as `tier` has registers for, of lengths that differ by one at most.
pub(crate) fn column_runs(tier: Tier, count: usize) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + Clone {
    runs(tier.registers(), count)
}

/// The same for so many `registers`.
#[inline(always)]
pub(crate) fn runs(registers: usize, count: usize) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + Clone {
    // Accumulators, two vectors of `a`, a broadcast, and what the compiler keeps beside them.
    let most = if registers >= 32 { 12 } else { 6 };
    let runs = count.div_ceil(most);
    (0..runs).map(move |run| run * count / runs..(run + 1) * count / runs)
}

impl Strip<'_> {
    /// Computes the strip. `columns` is at most the length of a run of [`column_runs`].
    pub(crate) fn run(self, tier: Tier) {
        match self.columns {
            1 => tier.run(Columns::<1>(self)),
            2 => tier.run(Columns::<2>(self)),
            3 => tier.run(Columns::<3>(self)),
            4 => tier.run(Columns::<4>(self)),
            5 => tier.run(Columns::<5>(self)),
            6 => tier.run(Columns::<6>(self)),
            7 => tier.run(Columns::<7>(self)),
            8 => tier.run(Columns::<8>(self)),
            9 => tier.run(Columns::<9>(self)),
            10 => tier.run(Columns::<10>(self)),
            11 => tier.run(Columns::<11>(self)),
            _ => tier.run(Columns::<12>(self)),
        }
    }
}

/// A strip of `J` columns.
struct Columns<'a, const J: usize>(Strip<'a>);

impl<const J: usize> WithSimd for Columns<'_, J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Strip { a, rows, b, out, pitch, len, accumulate, .. } = self.0;
        let mut i = 0;
        while i < len {
            let (a, out, rest) = (&a[i..], &mut out[i..], len - i);
            // Accumulators, as many vectors of `a`, and a broadcast.
            if WIDE * (J + 1) < S::REGISTER_COUNT && rest > VECTORS * S::F32_LANES {
                tile::<S, WIDE, J>(simd, a, rows, b, out, pitch, accumulate);
                i += WIDE * S::F32_LANES;
            } else if rest > S::F32_LANES {
                tile::<S, VECTORS, J>(simd, a, rows, b, out, pitch, accumulate);
                i += VECTORS * S::F32_LANES;
            } else {
                tile::<S, 1, J>(simd, a, rows, b, out, pitch, accumulate);
                i += S::F32_LANES;
            }
        }
    }
}

/// Expands to the body once a column below `$count`: the compiler would leave a loop of so many columns rolled, with its
/// accumulators in memory.
macro_rules! each_column {
    ($count:ident, $j:ident => $body:expr) => { each_column!(@ $count, $j, $body, 0 1 2 3 4 5 6 7 8 9 10 11) };
    (@ $count:ident, $j:ident, $body:expr, $($index:literal)*) => {
        $(if $index < $count { const $j: usize = $index; $body })*
    };
}

#[inline(always)]
fn tile<S: Simd, const V: usize, const J: usize>(
    simd: S,
    a: &[f32],
    rows: &[usize],
    b: &[f32],
    out: &mut [f32],
    pitch: usize,
    accumulate: bool,
) {
    let mut sums = [[simd.splat_f32s(0.); V]; J];
    for (&row, b) in rows.iter().zip(b.as_chunks::<J>().0) {
        let a = S::as_simd_f32s(&a[row..row + V * S::F32_LANES]).0;
        each_column!(J, COLUMN => {
            let factor = simd.splat_f32s(b[COLUMN]);
            for v in 0..V {
                sums[COLUMN][v] = mul_add(simd, a[v], factor, sums[COLUMN][v]);
            }
        });
    }
    each_column!(J, COLUMN => {
        let out = S::as_mut_simd_f32s(&mut out[COLUMN * pitch..][..V * S::F32_LANES]).0;
        for v in 0..V {
            out[v] = if accumulate { simd.add_f32s(out[v], sums[COLUMN][v]) } else { sums[COLUMN][v] };
        }
    });
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "sums of small integers are exact")]
mod tests {
    use super::*;

    fn number(i: usize) -> f32 {
        ((i * 7919 + i / 5) % 7) as f32 - 3.
    }

    #[test]
    fn every_tier_and_width_is_the_formula() {
        let (k, pitch) = (19, 70);
        let a: Vec<f32> = (0..200).map(number).collect();
        let rows: Vec<usize> = (0..k).map(|k| k * 5 % 23).collect();
        for tier in Tier::all() {
            for columns in 1..=column_runs(tier, 1000).map(|run| run.len()).max().unwrap_or(0) {
                let b: Vec<f32> = (0..k * columns).map(|i| number(i + 3)).collect();
                for len in [1, 3, 8, 15, 16, 17, 31, 37] {
                    for accumulate in [false, true] {
                        let mut out = vec![10.; columns * pitch + SLACK];
                        Strip { a: &a, rows: &rows, b: &b, columns, out: &mut out, pitch, len, accumulate }.run(tier);
                        for j in 0..columns {
                            for i in 0..len {
                                let sum: f32 = (0..k).map(|k| a[rows[k] + i] * b[k * columns + j]).sum();
                                let start = if accumulate { 10. } else { 0. };
                                assert_eq!(out[j * pitch + i], start + sum, "{tier:?} {columns} {len} {j} {i}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn runs_are_balanced_and_whole() {
        for tier in Tier::all() {
            for count in [0, 1, 6, 7, 12, 13, 64, 1000] {
                let runs: Vec<_> = column_runs(tier, count).collect();
                assert_eq!(runs.iter().map(|run| run.len()).sum::<usize>(), count);
                assert!(
                    runs.windows(2)
                        .all(|pair| pair[0].end == pair[1].start && pair[0].len().abs_diff(pair[1].len()) <= 1)
                );
            }
        }
    }
}
