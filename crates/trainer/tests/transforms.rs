//! Augmentation by flips, crops, colours, erasing, resizing and mixing: properties, draws and refusals.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "pixels that are only moved keep their bits")]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Var};
use proptest::prelude::*;
use taper_trainer::data::{
    Batch, BatchTransform, CenterCrop, ColorJitter, CutMix, Cutout, Draws, InMemoryDataset, Loader, MixUp, Normalize,
    RandomAffine, RandomCrop, RandomErasing, RandomHorizontalFlip, RandomVerticalFlip, Resize, Samples, Targets,
    Transform,
};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::{Error, Result, Trainer};

fn draws(sample: usize) -> Draws {
    Draws::for_sample(1, 2, sample, 0)
}

/// Values above 0, so that what a transform fills with 0 is told from the picture.
fn picture(channels: usize, height: usize, width: usize) -> Vec<f32> {
    let mut draws = Draws::for_sample(9, 0, channels * 10_000 + height * 100 + width, 0);
    (0..channels * height * width).map(|_| draws.uniform(0.01, 1.0) as f32).collect()
}

fn apply(transform: &dyn Transform, input: &[f32], shape: [usize; 3], sample: usize) -> Vec<f32> {
    let output = transform.apply(input.to_vec(), &shape, &mut draws(sample)).unwrap();
    assert_eq!(output.len(), transform.output_shape(&shape).unwrap().iter().product::<usize>());
    assert_eq!(output, transform.apply(input.to_vec(), &shape, &mut draws(sample)).unwrap());
    output
}

fn refusal<T>(result: Result<T>) -> String {
    let Err(error) = result else { panic!("must be refused") };
    assert!(matches!(error, Error::Value { .. }), "{error}");
    error.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn two_flips_give_the_same_bits(channels in 1usize..4, height in 0usize..7, width in 0usize..7) {
        let shape = [channels, height, width];
        let input = picture(channels, height, width);
        let at = |values: &[f32], c: usize, y: usize, x: usize| values[(c * height + y) * width + x];
        let across = apply(&RandomHorizontalFlip::new(1.0).unwrap(), &input, shape, 0);
        let over = apply(&RandomVerticalFlip::new(1.0).unwrap(), &input, shape, 0);
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    prop_assert_eq!(at(&across, c, y, x), at(&input, c, y, width - 1 - x));
                    prop_assert_eq!(at(&over, c, y, x), at(&input, c, height - 1 - y, x));
                }
            }
        }
        prop_assert_eq!(&apply(&RandomHorizontalFlip::new(1.0).unwrap(), &across, shape, 0), &input);
        prop_assert_eq!(&apply(&RandomVerticalFlip::new(1.0).unwrap(), &over, shape, 0), &input);
        prop_assert_eq!(&apply(&RandomHorizontalFlip::new(0.0).unwrap(), &input, shape, 0), &input);
        prop_assert_eq!(&apply(&RandomVerticalFlip::new(0.0).unwrap(), &input, shape, 0), &input);
    }

    #[test]
    fn a_random_crop_is_a_window_of_the_padded_picture(
        channels in 1usize..3, height in 1usize..7, width in 1usize..7, rows in 1usize..12, columns in 1usize..12,
        pad_rows in 0usize..9, pad_columns in 0usize..9, sample in 0usize..1000,
    ) {
        let shape = [channels, height, width];
        let input = picture(channels, height, width);
        let crop = RandomCrop::new([rows, columns], [pad_rows, pad_columns]).unwrap();
        let (padded_height, padded_width) = (height + 2 * pad_rows, width + 2 * pad_columns);
        if rows > padded_height || columns > padded_width {
            let message = refusal(crop.apply(input.clone(), &shape, &mut draws(sample)));
            prop_assert_eq!(message, format!(
                "RandomCrop: size must be at most that of the padded picture, got [{rows}, {columns}] for \
                 [{height}, {width}] with padding [{pad_rows}, {pad_columns}]"
            ));
            prop_assert!(crop.output_shape(&shape).is_err());
            return Ok(());
        }
        let output = apply(&crop, &input, shape, sample);
        let padded = |c: usize, y: usize, x: usize| {
            let (y, x) = (y.wrapping_sub(pad_rows), x.wrapping_sub(pad_columns));
            if y < height && x < width { input[(c * height + y) * width + x] } else { 0.0 }
        };
        let is_at = |top: usize, left: usize| {
            (0..output.len()).all(|i| {
                let (c, y, x) = (i / (rows * columns), i / columns % rows, i % columns);
                output[i] == padded(c, top + y, left + x)
            })
        };
        prop_assert!((0..=padded_height - rows).any(|top| (0..=padded_width - columns).any(|left| is_at(top, left))));
    }

    #[test]
    fn colours_stay_in_range_and_neutral_factors_change_no_bit(
        grey: bool, height in 0usize..5, width in 0usize..5, amount in 0.0..3.0f64, hue in 0.0..=0.5f64, sample in 0usize..1000,
    ) {
        let shape = [if grey { 1 } else { 3 }, height, width];
        let input = picture(shape[0], height, width);
        prop_assert_eq!(&apply(&ColorJitter::new(0.0, 0.0, 0.0, 0.0).unwrap(), &input, shape, sample), &input);
        let output = apply(&ColorJitter::new(amount, amount, amount, hue).unwrap(), &input, shape, sample);
        prop_assert!(output.iter().all(|value| (0.0..=1.0).contains(value)));
        let turned = apply(&ColorJitter::new(0.0, 0.0, 0.0, hue).unwrap(), &input, shape, sample);
        if grey {
            prop_assert_eq!(&turned, &input);
        } else {
            // Another hue leaves the strongest and the weakest colour of a pixel as strong as they were.
            let plane = height * width;
            for i in 0..plane {
                let extremes = |values: &[f32]| {
                    let pixel = [values[i], values[plane + i], values[2 * plane + i]];
                    (pixel.into_iter().fold(0.0, f32::max), pixel.into_iter().fold(1.0, f32::min))
                };
                let ((most, least), (before_most, before_least)) = (extremes(&turned), extremes(&input));
                prop_assert!((most - before_most).abs() < 1e-6 && (least - before_least).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn what_is_erased_is_one_rectangle_in_all_channels(
        channels in 1usize..4, height in 1usize..12, width in 1usize..12, length in 1usize..9, sample in 0usize..1000,
    ) {
        let shape = [channels, height, width];
        let input = picture(channels, height, width);
        let erasing = RandomErasing::new(1.0, [0.1, 0.4], [0.5, 2.0]).unwrap();
        let cutout = Cutout::new(length).unwrap();
        for (transform, at_most) in [(&erasing as &dyn Transform, [height - 1, width - 1]), (&cutout, [length, length])] {
            let output = apply(transform, &input, shape, sample);
            let erased: Vec<usize> = (0..height * width).filter(|i| output[*i] == 0.0).collect();
            let span = |of: fn(usize, usize) -> usize| {
                let places = erased.iter().map(|i| of(*i, width));
                places.clone().max().map_or((0, 0), |last| (places.min().unwrap(), last + 1))
            };
            let ((top, bottom), (left, right)) = (span(|i, width| i / width), span(|i, width| i % width));
            prop_assert_eq!(erased.len(), (bottom - top) * (right - left));
            prop_assert!(bottom - top <= at_most[0] && right - left <= at_most[1]);
            for (i, (value, before)) in output.iter().zip(&input).enumerate() {
                let (y, x) = (i / width % height, i % width);
                let inside = (top..bottom).contains(&y) && (left..right).contains(&x);
                prop_assert_eq!(*value, if inside { 0.0 } else { *before });
            }
        }
        prop_assert!(apply(&cutout, &input, shape, sample).contains(&0.0));
        let never = RandomErasing::new(0.0, [0.1, 0.4], [0.5, 2.0]).unwrap();
        prop_assert_eq!(apply(&never, &input, shape, sample), input);
    }

    #[test]
    fn a_resized_picture_is_made_of_means(
        channels in 1usize..3, height in 1usize..9, width in 1usize..9, rows in 1usize..20, columns in 1usize..20,
    ) {
        let shape = [channels, height, width];
        let input = picture(channels, height, width);
        let resize = Resize::new([rows, columns]).unwrap();
        let (least, most) = input.iter().fold((f32::MAX, 0.0f32), |(least, most), v| (least.min(*v), most.max(*v)));
        for value in apply(&resize, &input, shape, 0) {
            prop_assert!(value >= least - 1e-6 && value <= most + 1e-6);
        }
        for value in apply(&resize, &vec![0.7; input.len()], shape, 0) {
            prop_assert!((value - 0.7).abs() < 1e-6);
        }
        prop_assert_eq!(apply(&Resize::new([height, width]).unwrap(), &input, shape, 0), input.clone());
        // Mirrors commute with it.
        let flip = RandomHorizontalFlip::new(1.0).unwrap();
        let one = apply(&flip, &apply(&resize, &input, shape, 0), [channels, rows, columns], 0);
        let other = apply(&resize, &apply(&flip, &input, shape, 0), shape, 0);
        prop_assert!(one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-6));
    }

    #[test]
    fn mixed_samples_and_targets_have_the_same_weights(
        n in 1usize..7, channels in 1usize..3, height in 1usize..6, width in 1usize..6, alpha in 0.01..4.0f64, batch: u16,
    ) {
        const CLASSES: usize = 5;
        let size = channels * height * width;
        let inputs: Vec<f32> = (0..n).flat_map(|i| vec![i as f32 + 1.0; size]).collect();
        let classes: Vec<u32> = (0..n as u32).map(|i| i * 3 % CLASSES as u32).collect();
        let before = Samples { inputs, shape: vec![channels, height, width], targets: Targets::Classes(classes.clone()) };
        let mix = |transform: &dyn BatchTransform| {
            let mut samples = before.clone();
            transform.apply(&mut samples, &mut Draws::for_batch(1, 2, batch.into(), 0)).unwrap();
            let Targets::Probabilities { values, classes: CLASSES } = samples.targets else { panic!("soft targets") };
            assert_eq!(samples.shape, before.shape);
            (samples.inputs, values)
        };
        let mix_up = mix(&MixUp::new(alpha, CLASSES).unwrap());
        let cut_mix = mix(&CutMix::new(alpha, CLASSES).unwrap());
        for (cut, (inputs, targets)) in [(false, mix_up), (true, cut_mix)] {
            for i in 0..n {
                let (target, previous) = (classes[i] as usize, classes[(i + n - 1) % n] as usize);
                let row = &targets[i * CLASSES..(i + 1) * CLASSES];
                prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                prop_assert!(row.iter().enumerate().all(|(c, p)| c == target || c == previous || *p == 0.0));
                let lambda = if target == previous { continue } else { row[target] };
                prop_assert!((0.0..=1.0).contains(&lambda));
                let (own, other) = (i as f32 + 1.0, ((i + n - 1) % n) as f32 + 1.0);
                let values = &inputs[i * size..(i + 1) * size];
                if cut {
                    prop_assert!(values.iter().all(|value| *value == own || *value == other));
                    let kept = values.iter().filter(|value| **value == own).count();
                    prop_assert!((kept as f32 / size as f32 - lambda).abs() < 1e-6);
                } else {
                    let expected = lambda * own + (1.0 - lambda) * other;
                    prop_assert!(values.iter().all(|value| (value - expected).abs() < 1e-5));
                }
            }
        }
    }
}

#[test]
fn probabilities_are_kept_to() {
    let input = picture(1, 2, 3);
    let share = |transform: &dyn Transform| {
        (0..10_000).filter(|sample| apply(transform, &input, [1, 2, 3], *sample) != input).count() as f64 / 10_000.0
    };
    // A share of 10,000 fair draws deviates by at most 0.005; four of those.
    assert!((share(&RandomHorizontalFlip::new(0.3).unwrap()) - 0.3).abs() < 0.02);
    assert!((share(&RandomVerticalFlip::new(0.8).unwrap()) - 0.8).abs() < 0.02);
    assert!((share(&RandomErasing::new(0.25, [0.2, 0.2], [1.0, 1.0]).unwrap()) - 0.25).abs() < 0.02);
}

#[test]
fn every_place_of_a_crop_is_equally_likely() {
    let crop = RandomCrop::new([2, 3], [1, 0]).unwrap();
    let input: Vec<f32> = (1..13).map(|value| value as f32).collect();
    let mut counts = BTreeMap::new();
    for sample in 0..12_000 {
        let output = apply(&crop, &input, [1, 3, 4], sample);
        *counts.entry(output.into_iter().map(f32::to_bits).collect::<Vec<_>>()).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 4 * 2);
    // Chi-squared with 7 degrees of freedom: one in ten thousand exceeds 30.
    let chi_squared: f64 = counts.values().map(|&count| (f64::from(count) - 1500.0).powi(2) / 1500.0).sum();
    assert!(chi_squared < 30.0, "{chi_squared}: {:?}", counts.values());
}

#[test]
fn the_mixing_weight_has_the_moments_of_a_beta_variate() {
    for alpha in [0.001, 0.2, 0.7, 1.0, 3.5] {
        let lambdas: Vec<f64> = (0..20_000)
            .map(|batch| {
                let targets = Targets::Classes(vec![0, 1]);
                let mut samples = Samples { inputs: vec![0.0, 1.0], shape: vec![1], targets };
                let mut draws = Draws::for_batch(7, 0, batch, 0);
                MixUp::new(alpha, 2).unwrap().apply(&mut samples, &mut draws).unwrap();
                f64::from(samples.inputs[1])
            })
            .collect();
        let mean = lambdas.iter().sum::<f64>() / 20_000.0;
        let variance = lambdas.iter().map(|lambda| (lambda - mean).powi(2)).sum::<f64>() / 20_000.0;
        let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
        assert!((mean - 0.5).abs() < 4.0 * (expected / 20_000.0).sqrt(), "{alpha}: {mean}");
        assert!((variance - expected).abs() < 0.04 * expected, "{alpha}: {variance} for {expected}");
    }
}

#[test]
fn a_loader_augments_alike_with_any_workers_and_from_any_batch_on() {
    let (channels, height, width) = (3, 7, 6);
    let inputs: Vec<f32> = (0..23).flat_map(|i| picture(channels, height, width + i)[..126].to_vec()).collect();
    let dataset = InMemoryDataset::new(inputs, &[3, 7, 6], (0..23).map(|i| i % 4).collect()).unwrap();
    let loader = Loader::new(dataset, 5)
        .unwrap()
        .seed(3)
        .shuffle(true)
        .transform(RandomHorizontalFlip::new(0.5).unwrap())
        .transform(RandomVerticalFlip::new(0.5).unwrap())
        .transform(RandomAffine::new(20.0, [0.1, 0.2], [0.8, 1.2]).unwrap())
        .transform(ColorJitter::new(0.4, 0.4, 0.4, 0.1).unwrap())
        .transform(Resize::new([9, 8]).unwrap())
        .transform(RandomCrop::new([8, 7], [2, 1]).unwrap())
        .transform(CenterCrop::new([6, 7]).unwrap())
        .transform(RandomErasing::new(0.5, [0.02, 0.33], [0.3, 3.3]).unwrap())
        .transform(Cutout::new(2).unwrap())
        .transform(Normalize::new(&[0.4, 0.5, 0.6], &[0.2, 0.3, 0.4]).unwrap())
        .batch_transform(MixUp::new(0.4, 4).unwrap())
        .batch_transform(CutMix::new(1.0, 4).unwrap());
    assert_eq!(loader.input_shape().unwrap(), [3, 6, 7]);
    let content = |batch: Result<Batch>| {
        let batch = batch.unwrap();
        assert_eq!(batch.inputs.dims()[1..], [3, 6, 7]);
        assert_eq!(batch.targets.dims(), [batch.indices.len(), 4]);
        let values = |tensor: &candle_core::Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
        (values(&batch.inputs), values(&batch.targets), batch.indices)
    };
    let contents =
        |workers, epoch, first| loader.clone().workers(workers).epoch(epoch, first).map(content).collect::<Vec<_>>();
    let reference = contents(0, 2, 0);
    assert_eq!(reference.len(), 5);
    for workers in [1, 2, 4] {
        assert_eq!(contents(workers, 2, 0), reference);
        assert_eq!(contents(workers, 2, 3), reference[3..]);
    }
    assert_ne!(contents(0, 3, 0), reference);
}

#[test]
fn mixed_targets_train_and_leave_the_accuracy_uncounted() {
    let inputs: Vec<f32> = (0..40).flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
    let dataset = InMemoryDataset::new(inputs, &[2], (0..40).map(|i| i % 2).collect()).unwrap();
    let plain = Loader::new(dataset, 8).unwrap().seed(1).shuffle(true);
    let mixed = plain.clone().batch_transform(MixUp::new(0.3, 2).unwrap());
    let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let sgd = Sgd::new(SgdConfig { lr: 1.0, ..Default::default() }).unwrap();
    let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight)).optimizer(sgd).epochs(10);
    let history = trainer.fit(&mixed, None).unwrap();
    assert!(history.epochs.iter().all(|epoch| epoch.train.loss.is_finite() && epoch.train.accuracy.is_none()));
    assert_eq!(trainer.evaluate(&plain).unwrap().overall.accuracy, Some(1.0));
}

#[test]
fn a_transform_that_does_not_apply_fails_the_first_batch() {
    let dataset = InMemoryDataset::new(vec![0.0; 24], &[1, 3, 4], vec![0, 9]).unwrap();
    let loader = Loader::new(dataset, 2).unwrap();
    let first = |loader: Loader| refusal(loader.epoch(0, 0).next().unwrap());
    for workers in [0, 2] {
        let crop = loader.clone().workers(workers).transform(CenterCrop::new([4, 3]).unwrap());
        let expected =
            "CenterCrop: size must be at most that of the padded picture, got [4, 3] for [3, 4] with padding [0, 0]";
        assert_eq!(refusal(crop.input_shape()), expected);
        assert_eq!(first(crop), expected);
        let mix = loader.clone().workers(workers).batch_transform(MixUp::new(1.0, 9).unwrap());
        assert_eq!(first(mix), "MixUp: classes must be more than any target, got 9 for a target of class 9");
        let both = loader.clone().workers(workers).batch_transform(MixUp::new(1.0, 10).unwrap());
        let both = both.batch_transform(CutMix::new(1.0, 11).unwrap());
        assert_eq!(first(both), "CutMix: classes must be that of the targets, got 11 for probabilities of 10");
    }
}

#[test]
fn bad_parameters_are_refused() {
    for p in [-0.1, 1.1, f64::NAN] {
        let expected = format!(": p must be a probability between 0 and 1, got {p}");
        assert_eq!(refusal(RandomHorizontalFlip::new(p)), format!("RandomHorizontalFlip{expected}"));
        assert_eq!(refusal(RandomVerticalFlip::new(p)), format!("RandomVerticalFlip{expected}"));
        assert_eq!(refusal(RandomErasing::new(p, [0.0, 1.0], [1.0, 1.0])), format!("RandomErasing{expected}"));
    }
    let size = ": size must be [height, width] of 1 to 65536 each, got [0, 3]";
    assert_eq!(refusal(CenterCrop::new([0, 3])), format!("CenterCrop{size}"));
    assert_eq!(refusal(RandomCrop::new([0, 3], [1, 2])), format!("RandomCrop{size}"));
    assert_eq!(refusal(Resize::new([0, 3])), format!("Resize{size}"));
    assert!(Resize::new([1, usize::MAX]).is_err());
    assert_eq!(
        refusal(RandomCrop::new([2, 3], [1, usize::MAX])),
        format!("RandomCrop: padding must be at most 65536 pixels, got [1, {}]", usize::MAX)
    );
    let scale = "RandomErasing: scale must be two fractions between 0 and 1, the smaller one first, got ";
    for range in [[0.2, 0.1], [-0.1, 0.1], [0.1, 1.1], [f64::NAN, 0.1]] {
        assert_eq!(refusal(RandomErasing::new(0.5, range, [1.0, 1.0])), format!("{scale}{range:?}"));
    }
    for range in [[0.2, 0.1], [0.0, 0.1], [0.1, f64::INFINITY]] {
        assert!(refusal(RandomErasing::new(0.5, [0.1, 0.2], range)).contains("ratio must be two positive ratios"));
    }
    assert_eq!(refusal(Cutout::new(0)), "Cutout: length must be at least 1, got 0");

    assert_eq!(refusal(ColorJitter::new(-0.1, 0.0, 0.0, 0.0)), "ColorJitter: brightness must be 0 or more, got -0.1");
    assert!(refusal(ColorJitter::new(0.0, f64::NAN, 0.0, 0.0)).contains("contrast must be 0 or more"));
    assert_eq!(refusal(ColorJitter::new(0.0, 0.0, 0.0, 0.6)), "ColorJitter: hue must be between 0 and 0.5, got 0.6");
    let one = [1.0, 1.0];
    assert!(refusal(ColorJitter::from_ranges(one, one, [1.2, 1.1], [0.0, 0.0])).contains("saturation must be two"));
    assert!(refusal(ColorJitter::from_ranges(one, one, one, [-0.6, 0.0])).contains("hue must be two numbers"));
    let jitter = ColorJitter::new(0.1, 0.1, 0.1, 0.1).unwrap();
    assert_eq!(
        refusal(jitter.apply(vec![0.0; 12], &[2, 2, 3], &mut draws(0))),
        "ColorJitter: input must be of 1 or 3 channels, got shape [2, 2, 3]"
    );
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refusal(MixUp::new(alpha, 3)), format!("MixUp: alpha must be positive, got {alpha}"));
        assert!(CutMix::new(alpha, 3).is_err());
    }
    assert_eq!(refusal(CutMix::new(1.0, 0)), "CutMix: classes must be 1 to 65536, got 0");
    assert_eq!(refusal(MixUp::new(1.0, 65_537)), "MixUp: classes must be 1 to 65536, got 65537");
    assert!(refusal(CutMix::new(1.0, usize::MAX)).starts_with("CutMix: classes must be 1 to 65536"));
    let mut many = Samples { inputs: vec![0.0; 5000], shape: vec![1], targets: Targets::Classes(vec![0; 5000]) };
    assert_eq!(
        refusal(MixUp::new(1.0, 65_536).unwrap().apply(&mut many, &mut draws(0))),
        "MixUp: classes must be such that a batch has at most 2²⁸ probabilities, got 65536 for 5000 samples"
    );
    assert_eq!(
        refusal(Resize::new([2, 3]).unwrap().output_shape(&[1, 0, 4])),
        "Resize: input must be of at least one pixel, got [1, 0, 4]"
    );
    let shape = [6, 7];
    for transform in [
        &RandomHorizontalFlip::new(0.5).unwrap() as &dyn Transform,
        &RandomVerticalFlip::new(0.5).unwrap(),
        &CenterCrop::new([1, 1]).unwrap(),
        &RandomCrop::new([1, 1], [0, 0]).unwrap(),
        &RandomErasing::new(0.5, [0.1, 0.2], [1.0, 1.0]).unwrap(),
        &Cutout::new(1).unwrap(),
        &Resize::new([1, 1]).unwrap(),
        &jitter,
    ] {
        let message = refusal(transform.apply(vec![0.0; 42], &shape, &mut draws(0)));
        assert!(message.ends_with(": input must be of shape [C, H, W], got [6, 7]"), "{message}");
    }
}
