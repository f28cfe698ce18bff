//! Augmentation: the arithmetic of affine maps, what is drawn, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use proptest::prelude::*;
use taper_trainer::Error;
use taper_trainer::data::{Affine, Draws, InMemoryDataset, Loader, Normalize, RandomAffine, Transform};

const CHANNELS: usize = 2;

fn draws() -> Draws {
    Draws::for_sample(1, 2, 3, 0)
}

fn picture(height: usize, width: usize) -> Vec<f32> {
    let mut draws = Draws::for_sample(9, 0, height * 100 + width, 0);
    (0..CHANNELS * height * width).map(|_| draws.uniform(0.0, 1.0) as f32).collect()
}

/// The definition, in float64: the input point by matrix, then a bilinear sample with zeros outside.
fn reference(input: &[f32], height: usize, width: usize, affine: Affine) -> Vec<f64> {
    let Affine { degrees, translate: [tx, ty], scale } = affine;
    let angle = degrees.to_radians();
    let (half_width, half_height) = (width as f64 / 2.0, height as f64 / 2.0);
    let mut output = Vec::new();
    for plane in input.chunks(height * width) {
        let value = |row: i64, column: i64| {
            let inside = (0..height as i64).contains(&row) && (0..width as i64).contains(&column);
            if inside { f64::from(plane[row as usize * width + column as usize]) } else { 0.0 }
        };
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f64 + 0.5 - half_width - tx, row as f64 + 0.5 - half_height - ty);
                let from_x = (angle.cos() * x + angle.sin() * y) / scale + half_width - 0.5;
                let from_y = (angle.cos() * y - angle.sin() * x) / scale + half_height - 0.5;
                let mut sum = 0.0;
                for r in [from_y.floor(), from_y.floor() + 1.0] {
                    for c in [from_x.floor(), from_x.floor() + 1.0] {
                        let weight = (1.0 - (from_y - r).abs()) * (1.0 - (from_x - c).abs());
                        sum += weight * value(r as i64, c as i64);
                    }
                }
                output.push(sum);
            }
        }
    }
    output
}

proptest! {
    #[test]
    fn affine_is_its_definition(
        height in 1usize..9, width in 1usize..9, degrees in -200.0..200.0f64,
        tx in -9.0..9.0f64, ty in -9.0..9.0f64, scale in 0.3..3.0f64,
    ) {
        let affine = Affine { degrees, translate: [tx, ty], scale };
        let input = picture(height, width);
        let expected = reference(&input, height, width, affine);
        let output = affine.apply(input, &[CHANNELS, height, width], &mut draws()).unwrap();
        prop_assert_eq!(output.len(), expected.len());
        for (value, expected) in output.iter().zip(expected) {
            // Coordinates are rounded to float32: up to 30 pixels away, the values between 0 and 1.
            prop_assert!((f64::from(*value) - expected).abs() < 3e-5, "{} for {}", value, expected);
        }
    }
}

#[test]
fn a_quarter_turn_is_clockwise_and_exact() {
    let affine = Affine { degrees: 90.0, translate: [0.0, 0.0], scale: 1.0 };
    let input = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let output = affine.apply(input, &[1, 3, 3], &mut draws()).unwrap();
    assert_eq!(output, [7.0, 4.0, 1.0, 8.0, 5.0, 2.0, 9.0, 6.0, 3.0]);
}

#[test]
fn no_change_gives_the_same_bits() {
    let unchanging = RandomAffine::new(0.0, [0.0, 0.0], [1.0, 1.0]).unwrap();
    let input = picture(5, 4);
    assert_eq!(unchanging.apply(input.clone(), &[CHANNELS, 5, 4], &mut draws()).unwrap(), input);
}

#[test]
fn far_shifts_and_extreme_maps_show_nothing_and_do_not_fail() {
    for affine in [
        Affine { degrees: 0.0, translate: [1e30, 0.0], scale: 1.0 },
        Affine { degrees: 45.0, translate: [0.0, -4.5], scale: 1e-30 },
        Affine { degrees: 10.0, translate: [f64::NAN, 1.5], scale: 0.0 },
    ] {
        let output = affine.apply(vec![1.0; 24], &[1, 4, 6], &mut draws()).unwrap();
        assert!(output.iter().all(|value| value.abs() < 1e-6), "{affine:?}: {output:?}");
    }
    let empty = RandomAffine::new(10.0, [0.1, 0.2], [0.9, 1.1]).unwrap();
    for shape in [[1, 0, 3], [1, 3, 0], [0, 3, 2]] {
        assert!(empty.apply(vec![], &shape, &mut draws()).unwrap().is_empty());
    }
}

#[test]
fn draws_fill_their_ranges_and_no_more() {
    let (height, width) = (20, 30);
    let random = RandomAffine::new(15.0, [0.1, 0.2], [0.8, 1.3]).unwrap();
    let all: Vec<Affine> =
        (0..4000).map(|index| random.draw(height, width, &mut Draws::for_sample(5, 1, index, 0))).collect();
    let check = |name, value: fn(&Affine) -> f64, low: f64, high: f64| {
        let least = all.iter().map(value).fold(f64::INFINITY, f64::min);
        let most = all.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        let mean = all.iter().map(value).sum::<f64>() / all.len() as f64;
        let width = high - low;
        assert!(least >= low && least < low + 0.01 * width, "{name}: {least}");
        assert!(most <= high && most > high - 0.01 * width, "{name}: {most}");
        // The mean of 4000 uniform draws has a deviation of width/√(12·4000) = 0.0046 width.
        assert!((mean - (low + high) / 2.0).abs() < 0.0046 * 4.0 * width, "{name}: {mean}");
    };
    check("degrees", |affine| affine.degrees, -15.0, 15.0);
    check("horizontal", |affine| affine.translate[0], -3.0, 3.0);
    check("vertical", |affine| affine.translate[1], -4.0, 4.0);
    check("scale", |affine| affine.scale, 0.8, 1.3);
    assert!(all.iter().all(|affine| affine.translate.iter().all(|shift| shift.fract() == 0.0)));
}

#[test]
fn a_loader_draws_for_each_sample_and_epoch() {
    let same = picture(6, 5).repeat(8);
    let dataset = InMemoryDataset::new(same, &[CHANNELS, 6, 5], vec![0; 8]).unwrap();
    let affine = RandomAffine::new(20.0, [0.0, 0.0], [0.9, 1.1]).unwrap();
    let loader = Loader::new(dataset, 8).unwrap().seed(3).transform(affine);
    let epoch = |loader: &Loader, epoch| -> Vec<Vec<f32>> {
        let batch = loader.epoch(epoch, 0).next().unwrap().unwrap();
        batch.inputs.flatten_from(1).unwrap().to_vec2().unwrap()
    };
    let (first, second) = (epoch(&loader, 0), epoch(&loader, 1));
    assert_eq!(first, epoch(&loader, 0));
    for (index, sample) in first.iter().enumerate() {
        assert!(first[..index].iter().chain(&second).all(|other| other != sample));
    }
}

#[test]
fn bad_ranges_and_shapes_are_refused() {
    let refusal = |error: Error| error.to_string();
    let random = |degrees, translate, scale| refusal(RandomAffine::new(degrees, translate, scale).unwrap_err());
    assert_eq!(random(-1.0, [0.0, 0.1], [0.9, 1.1]), "RandomAffine: degrees must be 0 or more, got -1");
    assert_eq!(
        random(1.0, [0.0, 1.5], [0.9, 1.1]),
        "RandomAffine: translate must be fractions between 0 and 1, got [0.0, 1.5]"
    );
    for scale in [[0.0, 1.0], [1.1, 0.9], [f64::NAN, 1.0], [1.0, f64::INFINITY]] {
        assert!(random(1.0, [0.0, 0.1], scale).contains("scale must be two positive factors"));
    }
    let affine = RandomAffine::new(1.0, [0.0, 0.1], [0.9, 1.1]).unwrap();
    assert_eq!(
        refusal(affine.apply(vec![0.0; 6], &[2, 3], &mut draws()).unwrap_err()),
        "RandomAffine: input must be of shape [C, H, W], got [2, 3]"
    );

    assert_eq!(refusal(Normalize::new(&[0.5], &[0.0]).unwrap_err()), "Normalize: std must be positive, got 0");
    assert!(Normalize::new(&[0.5], &[1.0, 2.0]).is_err());
    let normalize = Normalize::new(&[0.5], &[0.3]).unwrap();
    assert_eq!(
        refusal(normalize.apply(vec![0.0; 6], &[2, 3, 1], &mut draws()).unwrap_err()),
        "Normalize: input must be of as many channels as mean and std, got shape [2, 3, 1] for 1 channels"
    );
}
