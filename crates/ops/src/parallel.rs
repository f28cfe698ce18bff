//! How work is cut: by the size of the problem alone, never by the number of threads, so that results have the same bits
//! on any machine of one instruction tier. Runs on the caller's rayon pool.

use rayon::prelude::*;
use std::mem::MaybeUninit;

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

/// `len` elements, in runs of `item` elements that hold `value` until `f(index, run)` writes them, in parallel like
/// [`for_each_item`].
///
/// The task that writes a run fills it right before, in its cache: one thread that fills them all beforehand takes as long as
/// many a kernel.
pub(crate) fn build<T: Copy + Send + Sync>(
    len: usize,
    value: T,
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    // SAFETY: `fill` writes all that it is handed.
    unsafe { build_unfilled(len, value, item, cost, |index, run| f(index, fill(run, value))) }
}

/// Like [`build`], without the values beforehand.
///
/// # Safety
///
/// `f` writes every element of the runs that it is handed. (With debug assertions they hold `value` before.)
pub(crate) unsafe fn build_unfilled<T: Copy + Send + Sync>(
    len: usize,
    value: T,
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    if item == 0 {
        return vec![value; len];
    }
    let mut out = Vec::with_capacity(len);
    for_each_item(&mut out.spare_capacity_mut()[..len], item, cost, |index, run| {
        if cfg!(debug_assertions) {
            run.fill(MaybeUninit::new(value));
        }
        f(index, run);
    });
    // SAFETY: `for_each_item` hands out each of the `len` elements, and `f` writes all that it is handed.
    unsafe { out.set_len(len) };
    out
}

/// Like [`build`]; gives what `f` returns too, in order.
pub(crate) fn build_map<T: Copy + Send + Sync, R: Send>(
    len: usize,
    value: T,
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if item == 0 {
        return (vec![value; len], vec![]);
    }
    let mut out = Vec::with_capacity(len);
    let runs = out.spare_capacity_mut()[..len].par_chunks_mut(item).with_min_len((GRAIN / cost.max(1)).max(1));
    let results = runs.enumerate().map(|(index, run)| f(index, fill(run, value))).collect();
    // SAFETY: the chunks are all `len` elements, each chunk was mapped, and `fill` writes all that it is handed.
    unsafe { out.set_len(len) };
    (out, results)
}

/// Like [`build_map`], where each of `tasks` tasks writes several runs at once: those to whose indices `task_of` gives its
/// number, in order.
pub(crate) fn build_by_task<T: Copy + Send + Sync, R: Send>(
    len: usize,
    value: T,
    item: usize,
    tasks: usize,
    task_of: impl Fn(usize) -> usize,
    f: impl Fn(usize, &mut [&mut [T]]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let filled = |(): &mut (), task: usize, runs: &mut [&mut [MaybeUninit<T>]]| {
        let mut runs: Vec<&mut [T]> = runs.iter_mut().map(|run| fill(run, value)).collect();
        f(task, &mut runs)
    };
    // SAFETY: `fill` writes all that it is handed.
    unsafe { build_by_task_unfilled(len, value, item, tasks, task_of, || (), filled) }
}

/// Like [`build_by_task`], without the values beforehand: where a task writes megabytes, what it filled has left its cache
/// when it comes to write it. What `space` gives serves one task after the other on a thread.
///
/// # Safety
///
/// `f` writes every element of the runs that it is handed. (With debug assertions they hold `value` before.)
pub(crate) unsafe fn build_by_task_unfilled<T: Copy + Send + Sync, W, R: Send>(
    len: usize,
    value: T,
    item: usize,
    tasks: usize,
    task_of: impl Fn(usize) -> usize,
    space: impl Fn() -> W + Sync + Send,
    f: impl Fn(&mut W, usize, &mut [&mut [MaybeUninit<T>]]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if item == 0 {
        return (vec![value; len], vec![]);
    }
    let mut out = Vec::with_capacity(len);
    let mut of_task: Vec<Vec<&mut [MaybeUninit<T>]>> = Vec::new();
    of_task.resize_with(tasks, Vec::new);
    for (index, run) in out.spare_capacity_mut()[..len].chunks_mut(item).enumerate() {
        of_task[task_of(index)].push(run);
    }
    let run = |space: &mut W, (task, mut runs): (usize, Vec<&mut [MaybeUninit<T>]>)| {
        if cfg!(debug_assertions) {
            runs.iter_mut().for_each(|run| run.fill(MaybeUninit::new(value)));
        }
        f(space, task, &mut runs)
    };
    let results = of_task.into_par_iter().enumerate().map_init(space, run).collect();
    // SAFETY: every run of the `len` elements was given to a task, and `f` writes all that it is handed.
    unsafe { out.set_len(len) };
    (out, results)
}

/// Two slices of `len` elements, in runs of `item` elements that hold `values` until `f(index, run, run)` writes them, like
/// [`build`].
pub(crate) fn build_pair<A: Copy + Send + Sync, B: Copy + Send + Sync>(
    len: usize,
    (a, b): (A, B),
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) -> (Vec<A>, Vec<B>) {
    // SAFETY: `fill` writes all that it is handed.
    unsafe {
        build_pair_unfilled(len, (a, b), item, cost, |index, left, right| f(index, fill(left, a), fill(right, b)))
    }
}

/// Like [`build_pair`], without the values beforehand.
///
/// # Safety
///
/// `f` writes every element of the runs that it is handed. (With debug assertions they hold `values` before.)
pub(crate) unsafe fn build_pair_unfilled<A: Copy + Send + Sync, B: Copy + Send + Sync>(
    len: usize,
    (a, b): (A, B),
    item: usize,
    cost: usize,
    f: impl Fn(usize, &mut [MaybeUninit<A>], &mut [MaybeUninit<B>]) + Sync,
) -> (Vec<A>, Vec<B>) {
    if item == 0 {
        return (vec![a; len], vec![b; len]);
    }
    let (mut left, mut right) = (Vec::with_capacity(len), Vec::with_capacity(len));
    let spare = (&mut left.spare_capacity_mut()[..len], &mut right.spare_capacity_mut()[..len]);
    for_each_pair(spare.0, spare.1, item, cost, |index, left, right| {
        if cfg!(debug_assertions) {
            left.fill(MaybeUninit::new(a));
            right.fill(MaybeUninit::new(b));
        }
        f(index, left, right);
    });
    // SAFETY: `for_each_pair` hands out each of the `len` elements of both, and `f` writes all that it is handed.
    unsafe {
        left.set_len(len);
        right.set_len(len);
    }
    (left, right)
}

/// Writes `value` to all of `run`.
pub(crate) fn fill<T: Copy>(run: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    for element in &mut *run {
        element.write(value);
    }
    // SAFETY: each element was just written, and `MaybeUninit<T>` lies in memory as `T` does.
    unsafe { &mut *(std::ptr::from_mut(run) as *mut [T]) }
}

/// Like [`for_each_item`], over runs of `item` elements of two slices of one length.
fn for_each_pair<A: Send, B: Send>(
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

/// `f(0), …, f(count − 1)`, computed in parallel, in order.
pub(crate) fn map<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    (0..count).into_par_iter().map(f).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_the_value_until_they_are_written() {
        for len in [0, 1, 7, 1000] {
            for (item, cost) in [(0, 1), (1, 1), (3, GRAIN), (4, 1 << 10), (2000, 1)] {
                let out = build(len, 5, item, cost, |index, run| run[0] += 10 * index);
                let expected = |i: usize| 5 + if item > 0 && i.is_multiple_of(item) { 10 * (i / item) } else { 0 };
                assert_eq!(out, (0..len).map(expected).collect::<Vec<_>>(), "{len} elements in runs of {item}");
            }
        }
    }

    #[test]
    fn tasks_write_the_runs_they_are_given() {
        let number = |task: usize, runs: &mut [&mut [usize]]| {
            runs.iter_mut().enumerate().for_each(|(i, run)| run[0] = 10 * task + i + 1);
            task
        };
        let (out, tasks) = build_by_task(11, 0, 2, 3, |index| index % 3, number);
        assert_eq!((out, tasks), (vec![1, 0, 11, 0, 21, 0, 2, 0, 12, 0, 22], vec![0, 1, 2]));
        assert_eq!(build_by_task(3, 7, 0, 1, |_| 0, |_, _| ()), (vec![7; 3], vec![]));
        let pair = build_pair(5, (7, 'a'), 2, GRAIN, |index, left, right| (left[0], right[0]) = (index, 'b'));
        assert_eq!(pair, (vec![0, 7, 1, 7, 2], vec!['b', 'a', 'b', 'a', 'b']));
        assert_eq!(build_map(5, 7, 2, 1, |index, run| run.len() * index), (vec![7; 5], vec![0, 2, 2]));
    }
}
