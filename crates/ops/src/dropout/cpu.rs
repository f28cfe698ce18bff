//! Drawing a mask and applying it, in one pass.

use super::spec::Mask;
use crate::parallel::build;
use crate::random::{counter, philox4x32};
use crate::storage::Element;

/// Elements a run.
const RUN: usize = 1 << 12;
/// Drawing a word, in simple operations: among many, and by itself.
const COST: usize = 2;
const WORD: usize = 1 << 5;
/// Counters drawn at once: independent of each other, so the compiler gives each a vector lane.
const BLOCK: usize = 16;

/// `x · scale + shift` where kept, the mask's constant elsewhere.
pub(super) fn apply<T: Element>(mask: &Mask, x: &[T]) -> Vec<T> {
    let dropped = T::from_f64(mask.dropped);
    let Some(threshold) = mask.threshold else {
        return vec![dropped; x.len()];
    };
    if mask.run == 1 {
        return build(x.len(), dropped, RUN, RUN * COST, |i, y| {
            let x = &x[i * RUN..][..y.len()];
            run(mask, threshold, mask.first + (i * RUN) as u64, x, y);
        });
    }
    let (scale, shift) = (T::from_f64(mask.scale), T::from_f64(mask.shift));
    build(x.len(), dropped, mask.run, mask.run.saturating_add(WORD), |i, y| {
        if mask.draw.word(mask.first + i as u64) >= threshold {
            y.iter_mut().zip(&x[i * mask.run..]).for_each(|(y, &x)| *y = x * scale + shift);
        }
    })
}

/// The widest instructions this machine has; integer words, a comparison, a rounded product and a rounded sum are
/// the same bits on all.
fn run<T: Element>(mask: &Mask, threshold: u32, first: u64, x: &[T], y: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the instructions it is compiled for were found on this machine.
            return unsafe { run_avx512(mask, threshold, first, x, y) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { run_avx2(mask, threshold, first, x, y) };
        }
    }
    run_portable(mask, threshold, first, x, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn run_avx512<T: Element>(mask: &Mask, threshold: u32, first: u64, x: &[T], y: &mut [T]) {
    run_portable(mask, threshold, first, x, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<T: Element>(mask: &Mask, threshold: u32, first: u64, x: &[T], y: &mut [T]) {
    run_portable(mask, threshold, first, x, y);
}

/// `first`: the index in the whole batch of `x[0]`, which may lie within a counter's four words.
#[inline(always)]
fn run_portable<T: Element>(mask: &Mask, threshold: u32, first: u64, x: &[T], y: &mut [T]) {
    let (scale, shift, dropped) = (T::from_f64(mask.scale), T::from_f64(mask.shift), T::from_f64(mask.dropped));
    let mut at = 0;
    while at < x.len() {
        let index = first + at as u64;
        let skip = (index % 4) as usize;
        let words = words(mask, index / 4);
        let len = (4 * BLOCK - skip).min(x.len() - at);
        let (x, y) = (&x[at..at + len], &mut y[at..at + len]);
        for ((y, &x), &word) in y.iter_mut().zip(x).zip(&words.as_flattened()[skip..]) {
            *y = if word >= threshold { x * scale + shift } else { dropped };
        }
        at += len;
    }
}

/// A plain loop over an array: the form that the compiler turns into vector instructions.
#[inline(always)]
fn words(mask: &Mask, first_block: u64) -> [[u32; 4]; BLOCK] {
    let mut words = [[0; 4]; BLOCK];
    for (i, words) in words.iter_mut().enumerate() {
        *words = philox4x32(mask.draw.seed, counter(first_block + i as u64, mask.draw.step, mask.draw.layer));
    }
    words
}
