//! The loader: what batches hold, that they are the same for any number of workers, and how it stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use taper_trainer::data::{Batch, BatchTransform, Dataset, Draws, InMemoryDataset, Loader, Sample, Samples, Transform};
use taper_trainer::{Error, Result};

const SHAPE: [usize; 3] = [1, 2, 3];

fn counting(len: usize) -> InMemoryDataset {
    let inputs = (0..len * 6).map(|i| i as f32).collect();
    InMemoryDataset::new(inputs, &SHAPE, (0..len as u32).map(|i| i % 10).collect()).unwrap()
}

/// Adds noise, so that its output shows which draws it was given.
#[derive(Debug)]
struct Noise;

impl Transform for Noise {
    fn apply(&self, input: Vec<f32>, _: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
        Ok(input.into_iter().map(|value| value + draws.uniform(-0.5, 0.5) as f32).collect())
    }
}

type Content = (Vec<f32>, Vec<u32>, Vec<usize>);

fn content(batch: Result<Batch>) -> Content {
    let batch = batch.unwrap();
    assert_eq!(batch.inputs.dims()[1..], SHAPE);
    let inputs = batch.inputs.flatten_all().unwrap().to_vec1().unwrap();
    (inputs, batch.targets.to_vec1().unwrap(), batch.indices)
}

fn contents(loader: &Loader, epoch: u32, first_batch: usize) -> Vec<Content> {
    loader.epoch(epoch, first_batch).map(content).collect()
}

#[test]
fn batches_hold_the_samples_in_order() {
    let loader = Loader::new(counting(7), 3).unwrap();
    assert_eq!((loader.len(), loader.batches_per_epoch()), (7, 3));
    let batches = contents(&loader, 0, 0);
    assert_eq!(batches.len(), 3);
    assert_eq!(batches[1].0, (18..36).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(batches[1].1, [3, 4, 5]);
    assert_eq!(batches[2].2, [6]);

    let loader = loader.drop_last(true);
    assert_eq!(loader.batches_per_epoch(), 2);
    assert_eq!(contents(&loader, 0, 0), batches[..2]);
    assert_eq!(Loader::new(counting(6), 3).unwrap().drop_last(true).batches_per_epoch(), 2);
}

#[test]
fn a_batch_size_of_0_is_refused() {
    let error = Loader::new(counting(7), 0).unwrap_err();
    assert_eq!(error.to_string(), "Loader: batch_size must be at least 1, got 0");
}

#[test]
fn an_epoch_of_no_sample_and_one_past_its_end_have_no_batch() {
    assert_eq!(contents(&Loader::new(counting(0), 3).unwrap(), 0, 0), []);
    let loader = Loader::new(counting(7), 3).unwrap();
    assert_eq!(contents(&loader, 0, 3), []);
    assert_eq!(contents(&loader, 0, usize::MAX), []);
    assert_eq!(contents(&Loader::new(counting(2), 3).unwrap().drop_last(true), 0, 0), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batches_are_the_same_for_any_workers_and_from_any_batch_on(
        len in 1usize..60, batch_size in 1usize..9, seed: u64, epoch: u32, drop_last: bool, skip in 0usize..9,
    ) {
        let loader = Loader::new(counting(len), batch_size).unwrap()
            .seed(seed).shuffle(true).drop_last(drop_last).transform(Noise).transform(Noise);
        let reference = contents(&loader.clone().workers(0), epoch, 0);
        prop_assert_eq!(reference.len(), loader.batches_per_epoch());
        let mut seen: Vec<usize> = reference.iter().flat_map(|batch| batch.2.clone()).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), if drop_last { len / batch_size * batch_size } else { len });
        for (workers, prefetch) in [(1, 2), (2, 0), (4, 1)] {
            let loader = loader.clone().workers(workers).prefetch(prefetch);
            prop_assert_eq!(&contents(&loader, epoch, 0), &reference);
            let skip = skip.min(reference.len());
            prop_assert_eq!(&contents(&loader, epoch, skip)[..], &reference[skip..]);
        }
    }
}

#[test]
fn seed_and_epoch_change_the_order_and_the_draws() {
    let loader = Loader::new(counting(40), 40).unwrap().shuffle(true).transform(Noise);
    let order = |seed, epoch| contents(&loader.clone().seed(seed), epoch, 0).remove(0).2;
    assert_ne!(order(1, 0), order(1, 1));
    assert_ne!(order(1, 0), order(2, 0));
    assert_ne!(order(1, 0), (0..40).collect::<Vec<_>>());

    let inputs = |loader: &Loader, epoch| contents(loader, epoch, 0).remove(0).0;
    let unshuffled = loader.shuffle(false);
    assert_ne!(inputs(&unshuffled, 0), inputs(&unshuffled, 1));
    assert_ne!(inputs(&unshuffled, 0), inputs(&unshuffled.clone().seed(1), 0));
    // A second transform draws numbers of its own: twice the first one's would be multiples of it.
    let noise = |loader: &Loader| -> Vec<f64> {
        let plain = inputs(&Loader::new(counting(40), 40).unwrap(), 0);
        inputs(loader, 0).iter().zip(plain).map(|(noisy, plain)| f64::from(noisy - plain)).collect()
    };
    let (once, twice) = (noise(&unshuffled), noise(&unshuffled.clone().transform(Noise)));
    assert!(once.iter().zip(&twice).any(|(once, twice)| (2.0 * once - twice).abs() > 0.1));
}

#[test]
fn an_epoch_with_a_seed_has_an_order_that_never_changes() {
    let loader = Loader::new(counting(10), 10).unwrap().seed(42).shuffle(true);
    // From a Philox and a Fisher-Yates written apart, in Python.
    assert_eq!(contents(&loader, 0, 0)[0].2, [2, 9, 3, 7, 6, 1, 5, 0, 4, 8]);
}

#[test]
fn every_order_is_equally_likely() {
    let mut counts = BTreeMap::new();
    let loader = Loader::new(counting(4), 4).unwrap().seed(7).shuffle(true).workers(0);
    for epoch in 0..24_000 {
        *counts.entry(contents(&loader, epoch, 0).remove(0).2).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    // Chi-squared with 23 degrees of freedom: one in ten thousand fair shuffles exceeds 58.
    let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi_squared < 58.0, "{chi_squared}: {counts:?}");
}

type Read = fn() -> Result<Sample>;

/// Counts its reads, and does as `at` says for one index.
struct Watched {
    len: usize,
    reads: Arc<AtomicUsize>,
    at: Option<(usize, Read)>,
}

impl Dataset for Watched {
    fn len(&self) -> usize {
        self.len
    }

    fn input_shape(&self) -> &[usize] {
        &SHAPE
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.at {
            Some((at, act)) if at == index => act(),
            _ => Ok(Sample { input: vec![index as f32; 6], target: index as u32 }),
        }
    }
}

#[test]
fn workers_stop_loading_when_nobody_takes_their_batches() {
    let reads = Arc::new(AtomicUsize::new(0));
    let dataset = Watched { len: 10_000, reads: Arc::clone(&reads), at: None };
    let loader = Loader::new(dataset, 5).unwrap().workers(3).prefetch(2);
    let mut batches = loader.epoch(0, 0);
    content(batches.next().unwrap());
    // Three workers, each with two batches waiting and one in its hands, and the one that was taken.
    let most = 5 * (3 * (2 + 1) + 1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while reads.load(Ordering::SeqCst) < most && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(50));
    assert_eq!(reads.load(Ordering::SeqCst), most);

    drop(batches);
    // The workers were joined: none is left to read on.
    assert_eq!(reads.load(Ordering::SeqCst), most);
    assert_eq!(Arc::strong_count(&reads), 2, "the test and the loader hold it, no worker does");
}

#[test]
fn a_slow_consumer_bounds_the_batches_in_flight_all_the_way() {
    for (workers, prefetch) in [(1, 0), (1, 3), (2, 1), (4, 0)] {
        let reads = Arc::new(AtomicUsize::new(0));
        let dataset = Watched { len: 60, reads: Arc::clone(&reads), at: None };
        let loader = Loader::new(dataset, 2).unwrap().workers(workers).prefetch(prefetch);
        for (taken, batch) in (1..).zip(loader.epoch(0, 0)) {
            content(batch);
            thread::sleep(Duration::from_millis(2));
            let in_flight = reads.load(Ordering::SeqCst).div_ceil(2) - taken;
            assert!(in_flight <= workers * (prefetch + 1), "{in_flight} of {workers} workers, prefetch {prefetch}");
        }
        assert_eq!(reads.load(Ordering::SeqCst), 60);
    }
}

#[test]
fn dropping_the_batches_at_any_point_ends_the_workers() {
    for (workers, taken) in [(1, 0), (2, 1), (4, 7), (3, 20), (8, 3)] {
        let reads = Arc::new(AtomicUsize::new(0));
        let dataset = Watched { len: 40, reads: Arc::clone(&reads), at: Some((33, || panic!("late"))) };
        let loader = Loader::new(dataset, 2).unwrap().workers(workers).prefetch(1);
        let mut batches = loader.epoch(0, 0);
        batches.by_ref().take(taken).for_each(drop);
        drop(batches);
        drop(loader);
        assert_eq!(Arc::strong_count(&reads), 1, "{workers} workers after {taken} batches");
    }
}

#[test]
fn an_error_or_a_panic_takes_the_place_of_its_batch_and_ends_the_epoch() {
    let damaged = || Err(Error::Io { action: "read", path: "sample".into(), source: io::Error::other("damaged") });
    let short = || Ok(Sample { input: vec![0.0; 5], target: 0 });
    let acts: [(Read, &str); 3] = [
        (damaged, "cannot read sample: damaged"),
        (short, "sample 13 has 5 values, but its data set and transforms declare shape [1, 2, 3]"),
        (|| panic!("no such {}", "picture"), "loading sample 13 panicked: no such picture"),
    ];
    for (act, expected) in acts {
        for workers in [0, 1, 2, 4] {
            let dataset = Watched { len: 100, reads: Arc::default(), at: Some((13, act)) };
            let mut batches = Loader::new(dataset, 4).unwrap().workers(workers).epoch(0, 0);
            for first in [0, 4, 8] {
                assert_eq!(content(batches.next().unwrap()).2[0], first);
            }
            assert_eq!(batches.next().unwrap().unwrap_err().to_string(), expected);
            assert!(batches.next().is_none());
        }
    }
}

/// Does as it is told on the second batch.
#[derive(Debug)]
struct OnSecond(fn() -> Result<()>);

impl BatchTransform for OnSecond {
    fn apply(&self, samples: &mut Samples, _: &mut Draws) -> Result<()> {
        if samples.inputs[0] > 23.0 { (self.0)() } else { Ok(()) }
    }
}

#[test]
fn a_batch_transform_that_panics_is_named_and_no_sample_is_blamed() {
    for workers in [0, 2] {
        let panics = OnSecond(|| panic!("too hot"));
        let loader = Loader::new(counting(12), 4).unwrap().workers(workers).batch_transform(panics);
        let mut batches = loader.epoch(0, 0);
        assert!(batches.next().unwrap().is_ok());
        let message = batches.next().unwrap().unwrap_err().to_string();
        assert!(message.starts_with("the batch transform OnSecond("), "{message}");
        assert!(message.ends_with(") panicked on batch 1: too hot"), "{message}");
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_shared_data_set_serves_several_loaders() {
    let dataset: Arc<dyn Dataset> = Arc::new(counting(9));
    let (first, second) = (Loader::new(Arc::clone(&dataset), 2).unwrap(), Loader::new(dataset, 4).unwrap());
    let (mut first, mut second) = (first.epoch(0, 0), second.epoch(0, 1));
    assert_eq!(content(first.next().unwrap()).2, [0, 1]);
    assert_eq!(content(second.next().unwrap()).2, [4, 5, 6, 7]);
    assert_eq!(content(first.next().unwrap()).2, [2, 3]);
}
