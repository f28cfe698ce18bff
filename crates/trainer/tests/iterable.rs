//! Streams: the same batches at any number of workers and from any batch on, shuffled in a buffer, in a fit and after a resume.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::DType;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Net, dataset, loader};
use taper_trainer::data::{Batch, Dataset, IterableDataset, Loader, RandomAffine, Sample, ShuffleBuffer};
use taper_trainer::{Checkpoints, Error, Result, Trainer};

type Samples = Box<dyn Iterator<Item = Result<Sample>> + Send>;

/// Numbered samples of shape [3]: epoch, number and a constant; `None` has no end.
#[derive(Debug, Clone, Default)]
struct Numbers {
    end: Option<usize>,
    fails_at: Option<usize>,
    panics_at: Option<usize>,
    opened: Arc<AtomicUsize>,
}

impl IterableDataset for Numbers {
    fn input_shape(&self) -> &[usize] {
        &[3]
    }

    fn samples(&self, epoch: u32) -> Result<Samples> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let Self { end, fails_at, panics_at, .. } = self.clone();
        Ok(Box::new((0..end.unwrap_or(usize::MAX)).map(move |i| {
            assert_ne!(panics_at, Some(i), "unreadable");
            if fails_at == Some(i) {
                return Err(Error::DataFile { file: "stream".to_owned(), reason: format!("sample {i} is torn") });
            }
            Ok(Sample { input: vec![epoch as f32, i as f32, 0.5], target: i as u32 % 7 })
        })))
    }
}

fn values(batch: Batch) -> (Vec<f32>, Vec<u32>, Vec<usize>) {
    let inputs = batch.inputs.flatten_all().unwrap().to_vec1().unwrap();
    (inputs, batch.targets.to_vec1().unwrap(), batch.indices)
}

fn epoch(loader: &Loader, epoch: u32, first: usize) -> Vec<(Vec<f32>, Vec<u32>, Vec<usize>)> {
    loader.epoch(epoch, first).map(|batch| values(batch.unwrap())).collect()
}

/// The second values, which number the samples.
fn numbers(batches: &[(Vec<f32>, Vec<u32>, Vec<usize>)]) -> Vec<usize> {
    batches.iter().flat_map(|(inputs, ..)| inputs.chunks(3).map(|sample| sample[1] as usize)).collect()
}

#[test]
fn batches_come_in_the_streams_order_and_the_last_may_be_smaller() {
    let loader = Loader::from_iterable(Numbers { end: Some(23), ..Default::default() }, 5, 5).unwrap();
    assert_eq!((loader.len(), loader.batches_per_epoch()), (25, 5));
    let batches = epoch(&loader, 2, 0);
    assert_eq!(numbers(&batches), (0..23).collect::<Vec<_>>());
    assert_eq!(batches[4].0, [2.0, 20.0, 0.5, 2.0, 21.0, 0.5, 2.0, 22.0, 0.5]);
    assert_eq!((&batches[4].1[..], &batches[4].2[..]), (&[6, 0, 1][..], &[20, 21, 22][..]));
    // What is left of a longer stream stays there.
    let endless = Loader::from_iterable(Numbers::default(), 4, 3).unwrap();
    assert_eq!(numbers(&epoch(&endless, 0, 0)), (0..12).collect::<Vec<_>>());
    assert_eq!(epoch(&endless.clone().limit_batches(2), 0, 0), epoch(&endless, 0, 0)[..2]);
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(17), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn workers_and_the_first_batch_change_nothing(
        (workers, prefetch, buffer) in (0usize..5, 0usize..4, 1usize..40),
        (batch_size, batches, first, short) in (1usize..7, 1usize..9, 0usize..10, 0usize..3),
    ) {
        let end = (batch_size * batches).saturating_sub(short.min(batch_size - 1));
        let numbers = Numbers { end: Some(end), ..Default::default() };
        let stream = ShuffleBuffer::new(numbers, buffer, 9).unwrap();
        let loader = Loader::from_iterable(stream, batch_size, batches).unwrap().seed(4);
        // Epochs, samples and draws differ in what the transform makes of them.
        let loader = loader.transform(Jitter);
        let alone = epoch(&loader.clone().workers(0), 3, 0);
        prop_assert_eq!(alone.len(), batches);
        let from = first.min(batches);
        let some = epoch(&loader.workers(workers).prefetch(prefetch), 3, first);
        prop_assert_eq!(&some[..], &alone[from..]);
    }

    #[test]
    fn a_buffer_hands_out_every_sample_once_and_none_too_early(
        (size, count, seed) in (1usize..50, 0usize..120, any::<u64>()),
    ) {
        let stream = |size| ShuffleBuffer::new(Numbers { end: Some(count), ..Default::default() }, size, seed).unwrap();
        let order = |size, epoch| -> Vec<usize> {
            stream(size).samples(epoch).unwrap().map(|sample| sample.unwrap().input[1] as usize).collect()
        };
        let shuffled = order(size, 0);
        for (place, number) in shuffled.iter().enumerate() {
            prop_assert!(*number < place + size, "{number} at {place}");
        }
        let mut sorted = shuffled.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &(0..count).collect::<Vec<_>>());
        prop_assert_eq!(&order(size, 0), &shuffled);
        if size == 1 {
            prop_assert_eq!(&shuffled, &sorted);
        } else if size >= 20 && count >= 60 {
            prop_assert_ne!(&shuffled, &sorted);
            prop_assert_ne!(order(size, 1), shuffled);
        }
    }
}

#[derive(Debug)]
struct Jitter;

impl taper_trainer::data::Transform for Jitter {
    fn apply(&self, mut input: Vec<f32>, _: &[usize], draws: &mut taper_trainer::data::Draws) -> Result<Vec<f32>> {
        input[2] += draws.uniform(0.0, 1.0) as f32;
        Ok(input)
    }
}

#[test]
fn faults_of_a_stream_are_errors_at_their_batch_and_end_the_epoch() {
    for workers in [0, 1, 3] {
        let outcome = |numbers: Numbers| {
            let loader = Loader::from_iterable(numbers, 4, 5).unwrap().workers(workers);
            let mut batches: Vec<_> = loader.epoch(1, 0).collect();
            let error = batches.pop().unwrap().unwrap_err();
            assert!(batches.iter().all(Result::is_ok));
            (batches.len(), error.to_string())
        };
        let (before, error) = outcome(Numbers { end: Some(15), ..Default::default() });
        let told =
            "the stream ended after 15 samples of epoch 1, and its batches take 20: ask for fewer batches an epoch";
        assert_eq!((before, error.as_str()), (3, told));
        let (before, error) = outcome(Numbers { fails_at: Some(9), ..Default::default() });
        assert_eq!((before, error.as_str()), (2, "stream: sample 9 is torn"));
        let (before, error) = outcome(Numbers { panics_at: Some(13), ..Default::default() });
        assert_eq!(before, 3);
        assert!(error.starts_with("loading sample 13 panicked: ") && error.contains("unreadable"), "{error}");
    }
    let drops = Loader::from_iterable(Numbers { end: Some(19), ..Default::default() }, 4, 5).unwrap().drop_last(true);
    assert!(matches!(drops.epoch(0, 0).last(), Some(Err(Error::StreamEnded { samples: 19, wanted: 20, .. }))));
}

#[test]
fn an_epoch_that_is_left_early_leaves_no_worker_waiting() {
    let loader = Loader::from_iterable(Numbers::default(), 2, 1000).unwrap().workers(4).prefetch(0);
    for taken in 0..6 {
        assert_eq!(loader.epoch(0, 0).take(taken).count(), taken);
    }
}

#[test]
fn orders_that_ask_for_certain_samples_are_refused() {
    let stream = || Loader::from_iterable(Numbers::default(), 2, 3).unwrap();
    let error = stream().shuffle(true).epoch(0, 0).next().unwrap().unwrap_err();
    let told = "Loader: shuffle must be asked for of a data set that is read by index: shuffle a stream by a \
                ShuffleBuffer, got a stream";
    assert_eq!(error.to_string(), told);
    assert!(stream().stratified().unwrap_err().to_string().starts_with("Loader: stratified must be"));
    assert!(stream().weighted(&[1.0], 1).unwrap_err().to_string().starts_with("Loader: weighted must be"));
    assert!(ShuffleBuffer::new(Numbers::default(), 0, 1).unwrap_err().to_string().contains("size must be at least 1"));
}

/// The samples of the support file's data set, one after the other.
struct Stream;

impl IterableDataset for Stream {
    fn input_shape(&self) -> &[usize] {
        &[2, 6, 5]
    }

    fn samples(&self, _: u32) -> Result<Samples> {
        let data = dataset();
        Ok(Box::new((0..data.len()).map(move |index| data.get(index))))
    }
}

#[test]
fn a_fit_over_a_stream_is_that_over_its_samples_and_resumes_to_the_bit() {
    let run = |train: &Loader, epochs: &[usize], folder: &std::path::Path| {
        let mut bits = None;
        for &epochs in epochs {
            let net = Net::new(DType::F32);
            let checkpoints = Checkpoints::new(folder).every_steps(2);
            let mut trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).seed(3);
            trainer = trainer.epochs(epochs).checkpoints(checkpoints).resume(true);
            let history = trainer.fit(train, Some(&loader())).unwrap();
            bits = Some((history, net.bits()));
        }
        bits.unwrap()
    };
    let folder = || tempfile::tempdir().unwrap();
    let affine = || RandomAffine::new(10.0, [0.1, 0.1], [0.9, 1.1]).unwrap();
    let indexed = Loader::new(dataset(), 5).unwrap().transform(affine());
    let streamed = Loader::from_iterable(Stream, 5, 5).unwrap().transform(affine()).workers(2);
    let whole = run(&streamed, &[3], folder().path());
    assert_eq!(run(&indexed, &[3], folder().path()), whole);

    let shuffled =
        || Loader::from_iterable(ShuffleBuffer::new(Stream, 9, 5).unwrap(), 5, 5).unwrap().transform(affine());
    let whole = run(&shuffled(), &[3], folder().path());
    // From the middle of the second epoch on: its last checkpoint is removed.
    let kept = folder();
    run(&shuffled().workers(3), &[2], kept.path());
    std::fs::remove_file(kept.path().join("step-00000010.safetensors")).unwrap();
    assert_eq!(run(&shuffled(), &[3], kept.path()), whole);

    let other = Loader::from_iterable(ShuffleBuffer::new(Stream, 8, 5).unwrap(), 5, 5).unwrap().transform(affine());
    let net = Net::new(DType::F32);
    let trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).seed(3).epochs(4);
    let mut trainer = trainer.checkpoints(Checkpoints::new(kept.path()).every_steps(2)).resume(true);
    let error = trainer.fit(&other, Some(&loader())).unwrap_err();
    assert!(error.to_string().contains("shuffled in a buffer of 9 by seed 5"), "{error}");
}
