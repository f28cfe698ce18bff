//! The metrics against scikit-learn's values, over any partition into batches, and where they are undefined.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is computed exactly is compared so")]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;
use std::collections::BTreeMap;
use taper_trainer::{
    Accuracy, Auroc, Average, ConfusionMatrix, Error, F1, MeanLoss, Metric, Precision, Recall, Result, TopK,
};

fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(20_261_124);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every metric there is for so many classes, by the name it goes by.
fn all(classes: usize) -> BTreeMap<String, Box<dyn Metric>> {
    let mut metrics: Vec<Box<dyn Metric>> = vec![
        Box::new(Accuracy::default()),
        Box::new(Auroc::default()),
        Box::new(ConfusionMatrix::default()),
        Box::new(MeanLoss::default()),
    ];
    let each = (0..classes).map(Average::Class);
    for average in [Average::Macro, Average::Micro, Average::Weighted].into_iter().chain(each) {
        metrics.push(Box::new(Precision::new(average)));
        metrics.push(Box::new(Recall::new(average)));
        metrics.push(Box::new(F1::new(average)));
    }
    metrics.extend((1..classes).map(|k| Box::new(TopK::new(k).unwrap()) as Box<dyn Metric>));
    metrics.into_iter().map(|metric| (metric.name(), metric)).collect()
}

fn logits(values: &[f64], classes: usize, dtype: DType) -> Tensor {
    let values = Tensor::new(values, &Device::Cpu).unwrap().reshape((values.len() / classes, classes)).unwrap();
    values.to_dtype(dtype).unwrap()
}

fn targets(values: &[u32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn values_are_scikit_learns() {
    let golden: Value = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let truth: Vec<u32> = floats(&case["targets"]).into_iter().map(|target| target as u32).collect();
        for dtype in [DType::F32, DType::F64] {
            let logits = logits(&floats(&case["logits"]), classes, dtype);
            let mut metrics = all(classes);
            metrics.remove("mean_loss");
            let scores = case["scores"].as_object().unwrap();
            assert!(
                metrics.keys().eq(scores.keys().collect::<std::collections::BTreeSet<_>>()),
                "{:?}",
                metrics.keys()
            );
            for (name, theirs) in scores {
                let metric = metrics.get_mut(name).unwrap();
                metric.update(&logits, &targets(&truth), 0.5).unwrap();
                match (metric.value(), theirs.as_f64()) {
                    (Some(ours), Some(theirs)) => {
                        assert!((ours - theirs).abs() < 1e-14, "{} {name}: {ours} for {theirs}", case["name"]);
                    }
                    (ours, theirs) => assert_eq!(ours, theirs, "{} {name}", case["name"]),
                }
            }
            let mut confusion = ConfusionMatrix::default();
            confusion.update(&logits, &targets(&truth), 0.5).unwrap();
            assert_eq!(confusion.classes(), classes);
            let places = (0..classes * classes).map(|i| (i / classes, i % classes));
            let ours: Vec<f64> = places.map(|(target, predicted)| confusion.count(target, predicted) as f64).collect();
            assert_eq!(ours, floats(&case["confusion"]));
            let per_class =
                [("precision", confusion.precision()), ("recall", confusion.recall()), ("f1", confusion.f1())];
            for (name, values) in per_class {
                for (class, ours) in values.into_iter().enumerate() {
                    let theirs = scores[&format!("{name}_class{class}")].as_f64();
                    assert!(ours.is_some() == theirs.is_some(), "{name} of {class}");
                    assert!((ours.unwrap_or(0.0) - theirs.unwrap_or(0.0)).abs() < 1e-14, "{name} of {class}");
                }
            }
        }
    }
}

/// Logits of so many classes on a coarse grid, so that many are equal, and targets.
fn samples() -> impl Strategy<Value = (usize, Vec<f64>, Vec<u32>)> {
    (2usize..6, 1usize..40).prop_flat_map(|(classes, count)| {
        let logits = prop::collection::vec((-3i8..4).prop_map(|z| f64::from(z) / 2.0), classes * count);
        (Just(classes), logits, prop::collection::vec(0..classes as u32, count))
    })
}

proptest! {
    #![proptest_config(config(200))]
    #[test]
    fn any_partition_into_batches_gives_the_same_value(
        (classes, values, truth) in samples(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let count = truth.len();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(count + 1)).chain([0, count]).collect();
        cuts.sort_unstable();
        // The loss of a sample is a number of its own.
        let loss = |from: usize, to: usize| (from..to).map(|i| (i as f64).sqrt()).sum::<f64>() / (to - from).max(1) as f64;
        for (name, mut metric) in all(classes) {
            let whole = |metric: &mut dyn Metric| {
                metric.update(&logits(&values, classes, DType::F64), &targets(&truth), loss(0, count)).unwrap();
                metric.value()
            };
            let expected = whole(&mut *metric);
            metric.reset();
            prop_assert_eq!(metric.value(), None);
            for pair in cuts.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                let part = logits(&values, classes, DType::F64).narrow(0, from, to - from).unwrap();
                metric.update(&part, &targets(&truth).narrow(0, from, to - from).unwrap(), loss(from, to)).unwrap();
            }
            if name == "mean_loss" {
                prop_assert!((metric.value().unwrap() - expected.unwrap()).abs() < 1e-12);
            } else {
                prop_assert_eq!(metric.value(), expected, "{}", name);
            }
            // Places of a map are samples like any other: [1, C, N] for [N, C].
            metric.reset();
            let map = logits(&values, classes, DType::F64).t().unwrap().unsqueeze(0).unwrap();
            metric.update(&map, &targets(&truth).unsqueeze(0).unwrap(), loss(0, count)).unwrap();
            if name != "mean_loss" {
                prop_assert_eq!(metric.value(), expected, "{} of a map", name);
            }
            metric.reset();
            prop_assert_eq!(whole(&mut *metric), expected, "{} after a reset", name);
        }
    }

    #[test]
    fn metrics_agree_with_each_other_and_with_their_definitions((classes, values, truth) in samples()) {
        let value = |metric: &mut dyn Metric| {
            metric.update(&logits(&values, classes, DType::F64), &targets(&truth), 0.5).unwrap();
            metric.value()
        };
        let accuracy = value(&mut Accuracy::default());
        for metric in [
            &mut TopK::new(1).unwrap() as &mut dyn Metric,
            &mut ConfusionMatrix::default(),
            &mut Precision::new(Average::Micro),
            &mut Recall::new(Average::Micro),
            &mut F1::new(Average::Micro),
            &mut Recall::new(Average::Weighted),
        ] {
            prop_assert!((value(metric).unwrap() - accuracy.unwrap()).abs() < 1e-14, "{:?}", metric);
        }
        prop_assert_eq!(value(&mut TopK::new(classes).unwrap()), Some(1.0));

        // Two of the classes alone: every pair by itself.
        let kept: Vec<usize> = (0..truth.len()).filter(|i| truth[*i] < 2).collect();
        let pair: Vec<f64> = kept.iter().flat_map(|i| values[i * classes..i * classes + 2].to_vec()).collect();
        let truth: Vec<u32> = kept.iter().map(|i| truth[*i]).collect();
        let score = |i: usize| pair[2 * i + 1] - pair[2 * i];
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (i, _) in truth.iter().enumerate().filter(|it| *it.1 == 1) {
            for (j, _) in truth.iter().enumerate().filter(|it| *it.1 == 0) {
                pairs += 1.0;
                sum += if score(i) > score(j) { 1.0 } else if score(i) == score(j) { 0.5 } else { 0.0 };
            }
        }
        let expected = (pairs > 0.0).then(|| sum / pairs);
        let [mut two, mut one, mut flat] = [(); 3].map(|()| Auroc::default());
        if !truth.is_empty() {
            two.update(&logits(&pair, 2, DType::F64), &targets(&truth), 0.5).unwrap();
            let difference: Vec<f64> = (0..truth.len()).map(score).collect();
            one.update(&logits(&difference, 1, DType::F64), &targets(&truth), 0.5).unwrap();
            flat.update(&Tensor::new(difference, &Device::Cpu).unwrap(), &targets(&truth), 0.5).unwrap();
        }
        for auroc in [two, one, flat] {
            prop_assert_eq!(auroc.value(), expected);
        }
    }
}

#[test]
fn what_samples_leave_undefined_is_none_and_nothing_panics() {
    let empty = || (Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap(), targets(&[]));
    let mixed = || {
        let probabilities = Tensor::full(1f32 / 3.0, (4, 3), &Device::Cpu).unwrap();
        (probabilities.clone(), probabilities)
    };
    for (name, mut metric) in all(3) {
        assert_eq!(metric.value(), None, "{name} of nothing");
        let (logits, targets) = empty();
        metric.update(&logits, &targets, 0.5).unwrap();
        assert_eq!(metric.value(), None, "{name} of no sample");
        let (logits, targets) = mixed();
        metric.update(&logits, &targets, 0.5).unwrap();
        assert_eq!(metric.value().is_some(), name == "mean_loss", "{name} of mixed targets");
    }
    // One class alone, which is always predicted.
    let (one, zeros) = (logits(&[1.0, 0.0, 0.0, 2.0, 0.0, 0.0], 3, DType::F32), targets(&[0, 0]));
    let value = |metric: &mut dyn Metric| {
        metric.update(&one, &zeros, 0.5).unwrap();
        metric.value()
    };
    assert_eq!(value(&mut Auroc::default()), None);
    assert_eq!(value(&mut F1::new(Average::Macro)), Some(1.0));
    assert_eq!(value(&mut F1::new(Average::Class(1))), None);
    assert_eq!(value(&mut Recall::new(Average::Class(2))), None);
    // A class that is predicted and never a target has part in the mean with 0, as scikit-learn has it.
    let (other, truth) = (logits(&[0.0, 1.0, 0.0, 2.0, 0.0, 0.0], 3, DType::F32), targets(&[0, 0]));
    for (metric, expected) in [
        (&mut Recall::new(Average::Macro) as &mut dyn Metric, Some(0.25)),
        (&mut Recall::new(Average::Class(1)), None),
        (&mut Precision::new(Average::Class(1)), Some(0.0)),
    ] {
        metric.update(&other, &truth, 0.5).unwrap();
        assert_eq!(metric.value(), expected, "{metric:?}");
    }
    // Scores that are no numbers, and infinite ones.
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (name, mut metric) in all(3) {
            let scores = [odd, 0.0, 1.0, 0.5, odd, odd, odd, odd, odd, 1.0, 2.0, 0.0];
            metric.update(&logits(&scores, 3, DType::F32), &targets(&[0, 1, 2, 1]), 0.5).unwrap();
            let value = metric.value();
            assert!(value.is_none_or(|value| value.is_finite()), "{name} of {odd}: {value:?}");
        }
    }
    let mut masked = Auroc::default();
    let low = f64::NEG_INFINITY;
    masked
        .update(&logits(&[0.0, low, low, low, 3.0, 1.0, low, 0.0, 2.0], 3, DType::F32), &targets(&[0, 1, 2]), 0.5)
        .unwrap();
    assert_eq!(masked.value(), Some(1.0), "classes that are ruled out are below all others");
}

#[test]
fn what_a_metric_cannot_take_is_refused() {
    let two = logits(&[1.0, 0.0, 0.0, 1.0], 2, DType::F32);
    let refused = |metric: &mut dyn Metric, logits: &Tensor, targets: &Tensor| {
        let error = metric.update(logits, targets, 0.5).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{error}");
        error.to_string()
    };
    for (_, mut metric) in all(2).into_iter().filter(|(name, _)| name != "mean_loss") {
        let message = refused(&mut *metric, &two, &targets(&[0]));
        assert!(
            message.ends_with("targets must be [N, …] for logits [N, C, …], got [1] for logits [2, 2]"),
            "{message}"
        );
        assert!(metric.update(&two, &targets(&[0]).squeeze(0).unwrap(), 0.5).is_err());
        assert!(metric.update(&two, &Tensor::new(&[[0u32, 1]], &Device::Cpu).unwrap(), 0.5).is_err());
    }
    let outside = "targets must be classes that there are logits of, got class 2 of 2";
    assert_eq!(refused(&mut Auroc::default(), &two, &targets(&[0, 2])), format!("Auroc: {outside}"));
    assert_eq!(refused(&mut F1::new(Average::Macro), &two, &targets(&[0, 2])), format!("F1: {outside}"));
    let negative = Tensor::new(&[0i64, -1], &Device::Cpu).unwrap();
    assert!(refused(&mut TopK::new(1).unwrap(), &two, &negative).ends_with("got class -1 of 2"));
    let message = refused(&mut Precision::new(Average::Class(2)), &two, &targets(&[0, 1]));
    assert_eq!(message, "Precision: class must be one that there are logits of, got 2 of 2");
    let three = logits(&[1.0, 0.0, 0.0], 3, DType::F32);
    let changing: [&mut dyn Metric; 3] =
        [&mut Auroc::default(), &mut ConfusionMatrix::default(), &mut Recall::new(Average::Macro)];
    for metric in changing {
        metric.update(&three, &targets(&[0]), 0.5).unwrap();
        let message = refused(metric, &two, &targets(&[0, 1]));
        assert!(message.ends_with("classes must be as many in each batch, got 2 after 3"), "{message}");
    }
    let wide = Tensor::zeros((1, 4097), DType::F32, &Device::Cpu).unwrap();
    let message = refused(&mut ConfusionMatrix::default(), &wide, &targets(&[0]));
    assert_eq!(message, "ConfusionMatrix: classes must be at most 4096, got 4097");
    let error: Result<TopK> = TopK::new(0);
    assert_eq!(error.unwrap_err().to_string(), "TopK: k must be at least 1, got 0");
}

#[test]
fn a_confusion_matrix_is_a_table() {
    let mut confusion = ConfusionMatrix::default();
    assert_eq!((confusion.to_string(), confusion.count(0, 0)), (String::new(), 0));
    let scores: Vec<f64> = (0..11).flat_map(|i| (0..11).map(move |j| f64::from(u8::from(i == j)))).collect();
    for _ in 0..120 {
        confusion.update(&logits(&scores, 11, DType::F32), &targets(&(0..11).rev().collect::<Vec<_>>()), 0.5).unwrap();
    }
    let table = confusion.to_string();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "     0   1   2   3   4   5   6   7   8   9  10");
    assert_eq!(lines[2], " 1   0   0   0   0   0   0   0   0   0 120   0");
    assert!(lines.len() == 12 && lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
    assert_eq!((confusion.count(11, 0), confusion.count(0, 11), confusion.count(usize::MAX, 1)), (0, 0, 0));
}
