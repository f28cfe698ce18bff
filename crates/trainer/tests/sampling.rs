//! Which samples an epoch and the parts of a data set hold: weighted, stratified, split.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use taper_trainer::data::{Dataset, Draws, InMemoryDataset, Loader, Subset, Transform, random_split, stratified_split};
use taper_trainer::{Error, Result};

fn dataset(targets: Vec<u32>) -> InMemoryDataset {
    InMemoryDataset::new((0..targets.len()).map(|i| i as f32).collect(), &[1], targets).unwrap()
}

fn batches(loader: &Loader, epoch: u32, first_batch: usize) -> Vec<Vec<usize>> {
    loader.epoch(epoch, first_batch).map(|batch| batch.unwrap().indices).collect()
}

fn counts(targets: impl IntoIterator<Item = u32>) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    targets.into_iter().for_each(|target| *counts.entry(target).or_default() += 1);
    counts
}

fn refusal<T>(result: Result<T>) -> String {
    let Err(error) = result else { panic!("must be refused") };
    assert!(matches!(error, Error::Value { .. }));
    error.to_string()
}

/// Classes that are equally frequent, and ones of which the first is the most frequent by far.
fn targets() -> impl Strategy<Value = Vec<u32>> {
    let skewed = prop_oneof![8 => Just(0u32), 2 => Just(1), 1 => 2u32..9];
    prop_oneof![prop::collection::vec(0u32..5, 1..120), prop::collection::vec(skewed, 1..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_parts_of_a_split_are_disjoint_and_whole(
        targets in prop::collection::vec(0u32..4, 0..60), fraction in 0.0..=1.0f64, seed: u64,
    ) {
        let whole = dataset(targets.clone());
        for (stratified, (first, second)) in [
            (false, random_split(whole.clone(), fraction, seed).unwrap()),
            (true, stratified_split(whole.clone(), fraction, seed).unwrap()),
        ] {
            let mut all = [first.indices(), second.indices()].concat();
            prop_assert!(first.indices().is_sorted() && second.indices().is_sorted());
            all.sort_unstable();
            prop_assert_eq!(all, (0..targets.len()).collect::<Vec<_>>());
            let share = |count: usize| (count as f64 * fraction).round() as usize;
            if stratified {
                let taken = counts((0..second.len()).map(|i| second.target(i).unwrap()));
                for (class, count) in counts(targets.clone()) {
                    prop_assert_eq!(taken.get(&class).copied().unwrap_or(0), share(count));
                }
            } else {
                prop_assert_eq!(second.len(), share(targets.len()));
            }
            for (place, &index) in second.indices().iter().enumerate() {
                prop_assert_eq!(second.get(place).unwrap(), whole.get(index).unwrap());
            }
        }
    }

    #[test]
    fn stratified_batches_hold_every_sample_once_and_the_classes_in_their_shares(
        targets in targets(), batch_size in 1usize..30, seed: u64, epoch: u32,
    ) {
        let loader = Loader::new(dataset(targets.clone()), batch_size).unwrap().seed(seed).stratified().unwrap();
        let batches = batches(&loader, epoch, 0);
        let mut all = batches.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..targets.len()).collect::<Vec<_>>());
        let frequencies = counts(targets.clone());
        for batch in batches {
            let held = counts(batch.iter().map(|&index| targets[index]));
            for (class, &frequency) in &frequencies {
                let share = frequency as f64 / targets.len() as f64;
                let expected = batch.len() as f64 * share;
                let held = held.get(class).copied().unwrap_or(0) as f64;
                // The documented bound, to rounding.
                let bound = 1.0 + (frequencies.len() as f64 - 2.0) * share;
                prop_assert!((held - expected).abs() <= bound + 1e-9, "{} for {}", held, expected);
            }
        }
    }
}

#[test]
fn balanced_classes_are_within_two_samples_in_each_stratified_batch() {
    let loader = Loader::new(dataset((0..1000).map(|i| i / 100).collect()), 50).unwrap().stratified().unwrap();
    let mut orders = Vec::new();
    for epoch in 0..20 {
        let batches = batches(&loader, epoch, 0);
        for batch in &batches {
            let held = counts(batch.iter().map(|index| (index / 100) as u32));
            assert!(held.len() == 10 && held.values().all(|count| (4..=6).contains(count)), "{held:?}");
        }
        orders.push(batches);
    }
    assert!((1..20).all(|epoch| orders[epoch] != orders[0]));
}

#[test]
fn weighted_draws_come_as_often_as_their_weights_say() {
    let weights = [0.0, 1.0, 2.5, 0.0, 0.5, 4.0, 0.0];
    let loader = Loader::new(dataset(vec![0; 7]), 64).unwrap().seed(3).weighted(&weights, 40_000).unwrap();
    assert_eq!(loader.batches_per_epoch(), 625);
    let drawn = batches(&loader, 2, 0);
    let held = counts(drawn.concat().into_iter().map(|index| index as u32));
    assert!(held.keys().all(|index| weights[*index as usize] > 0.0), "{held:?}");
    let term = |(index, count): (&u32, &usize)| {
        let expected = 40_000.0 * weights[*index as usize] / 8.0;
        (*count as f64 - expected).powi(2) / expected
    };
    let chi_squared: f64 = held.iter().map(term).sum();
    assert_eq!(held.len(), 4);
    // Three degrees of freedom: one in ten thousand fair draws exceeds 21.
    assert!(chi_squared < 21.0, "{chi_squared}: {held:?}");
    for workers in [0, 1, 2, 4] {
        assert_eq!(batches(&loader.clone().workers(workers), 2, 600), drawn[600..]);
    }
    assert_ne!(batches(&loader, 3, 0), drawn);
}

#[test]
fn a_sample_that_is_drawn_again_is_augmented_in_another_way() {
    #[derive(Debug)]
    struct Noise;
    impl Transform for Noise {
        fn apply(&self, input: Vec<f32>, _: &[usize], draws: &mut Draws) -> Result<Vec<f32>> {
            Ok(vec![input[0] + draws.uniform(0.0, 1.0) as f32])
        }
    }
    let loader = Loader::new(dataset(vec![0]), 20).unwrap().transform(Noise).weighted(&[1.0], 20).unwrap();
    let batch = loader.epoch(0, 0).next().unwrap().unwrap();
    let mut values: Vec<f32> = batch.inputs.flatten_all().unwrap().to_vec1().unwrap();
    values.sort_by(f32::total_cmp);
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let weighted =
        |weights: &[f64], samples| refusal(Loader::new(dataset(vec![0; 2]), 3).unwrap().weighted(weights, samples));
    assert_eq!(weighted(&[1.0], 4), "weighted: weights must be one a sample, got 1 weights for 2 samples");
    assert_eq!(weighted(&[1.0, -0.5], 4), "weighted: weights must be finite and 0 or more, got -0.5 for sample 1");
    assert!(weighted(&[f64::NAN, 1.0], 4).contains("got NaN for sample 0"));
    assert_eq!(weighted(&[0.0, 0.0], 4), "weighted: weights must be of a positive, finite sum, got 0");
    assert!(weighted(&[f64::MAX, f64::MAX], 4).ends_with("got inf"));
    assert!(weighted(&[1.0, 1.0], usize::MAX).starts_with("weighted: samples must be at most 2²⁸"));
    assert!(Loader::new(dataset(vec![0; 2]), 3).unwrap().weighted(&[1.0, 1.0], 1 << 28).is_ok());
    let nothing = Loader::new(dataset(vec![]), 3).unwrap().weighted(&[], 0).unwrap();
    assert_eq!(nothing.batches_per_epoch(), 0);
    assert!(Loader::new(dataset(vec![]), 3).unwrap().weighted(&[], 1).is_err());

    for fraction in [-0.1, 1.5, f64::NAN] {
        let message = refusal(random_split(dataset(vec![0; 5]), fraction, 1));
        assert_eq!(message, format!("random_split: fraction must be between 0 and 1, got {fraction}"));
        assert!(refusal(stratified_split(dataset(vec![0; 5]), fraction, 1)).starts_with("stratified_split: "));
    }
    let outside = refusal(Subset::new(dataset(vec![0; 5]), vec![0, 5]));
    assert_eq!(outside, "Subset: indices must be below the number of samples, got 5 for 5 samples");
    let subset = Subset::new(dataset(vec![0; 5]), vec![4, 4]).unwrap();
    let past = "Subset: index must be less than the number of samples, got 2";
    assert_eq!(refusal(subset.get(2)), past);
    assert_eq!(refusal(subset.target(2)), past);
}

#[test]
fn parts_follow_from_the_seed_and_can_be_shared_and_parted_again() {
    let whole: Arc<dyn Dataset> = Arc::new(dataset((0..40).map(|i| i % 3).collect()));
    let (train, validation) = random_split(Arc::clone(&whole), 0.25, 1).unwrap();
    assert_eq!(random_split(Arc::clone(&whole), 0.25, 1).unwrap().1.indices(), validation.indices());
    assert_ne!(random_split(whole, 0.25, 2).unwrap().1.indices(), validation.indices());
    let (inner, _) = stratified_split(train.clone(), 0.5, 1).unwrap();
    for place in 0..inner.len() {
        assert_eq!(inner.get(place).unwrap().input[0] as usize, train.indices()[inner.indices()[place]]);
    }
}
