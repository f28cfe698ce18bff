//! How work is cut: by the size of the problem alone, never by the number of threads, so that results have the same bits
//! on any machine of one instruction tier. Runs on the caller's rayon pool.

use rayon::prelude::*;

/// Work, in simple operations, below which a fork-join (about 12 µs) costs more than it gains.
const GRAIN: usize = 1 << 15;

/// Splits `out` into runs of `item` elements and calls `f(index, run)` for each, in parallel where the whole is worth it.
/// `cost` is the work of one run in simple operations.
pub(crate) fn for_each_item<T: Send>(out: &mut [T], item: usize, cost: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if item == 0 || out.is_empty() {
        return;
    }
    let per_task = (GRAIN / cost.max(1)).max(1);
    let run = |first: usize, runs: &mut [T]| {
        for (i, run) in runs.chunks_mut(item).enumerate() {
            f(first + i, run);
        }
    };
    if out.len() <= per_task.saturating_mul(item) {
        run(0, out);
    } else {
        out.par_chunks_mut(per_task * item).enumerate().for_each(|(task, runs)| run(task * per_task, runs));
    }
}

/// Like [`for_each_item`], over runs of `item` elements of two slices of one length.
pub(crate) fn for_each_pair<A: Send, B: Send>(
    a: &mut [A],
    b: &mut [B],
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if item == 0 || a.is_empty() {
        return;
    }
    let per_task = (GRAIN / cost.max(1)).max(1);
    let run = |first: usize, (a, b): (&mut [A], &mut [B])| {
        for (i, (a, b)) in a.chunks_mut(item).zip(b.chunks_mut(item)).enumerate() {
            f(first + i, a, b);
        }
    };
    if a.len() <= per_task.saturating_mul(item) {
        run(0, (a, b));
    } else {
        let pairs = a.par_chunks_mut(per_task * item).zip(b.par_chunks_mut(per_task * item));
        pairs.enumerate().for_each(|(task, pair)| run(task * per_task, pair));
    }
}

/// Like [`for_each_item`]; gives what `f` returns, in order.
pub(crate) fn map_items<T: Send, R: Send>(
    out: &mut [T],
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    if item == 0 || out.is_empty() {
        return vec![];
    }
    let per_task = (GRAIN / cost.max(1)).max(1);
    out.par_chunks_mut(item).with_min_len(per_task).enumerate().map(|(i, run)| f(i, run)).collect()
}

/// `f(0), …, f(count − 1)`, computed in parallel, in order.
pub(crate) fn map<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    (0..count).into_par_iter().map(f).collect()
}
