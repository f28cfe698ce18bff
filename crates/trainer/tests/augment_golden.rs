//! The arithmetic of the transforms against torchvision's, from `golden/augment.json`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use serde_json::Value;
use taper_trainer::data::{
    Affine, CenterCrop, ColorJitter, Draws, Normalize, RandomHorizontalFlip, RandomVerticalFlip, Resize, Transform,
};

const NEUTRAL: [f64; 2] = [1.0, 1.0];

fn transform(op: &str, p: &[f64]) -> Box<dyn Transform> {
    let size = || [p[0] as usize, p[1] as usize];
    let jitter = |place: usize| {
        let mut ranges = [NEUTRAL, NEUTRAL, NEUTRAL, [0.0, 0.0]];
        ranges[place] = [p[0], p[0]];
        let [brightness, contrast, saturation, hue] = ranges;
        Box::new(ColorJitter::from_ranges(brightness, contrast, saturation, hue).unwrap())
    };
    match op {
        "brightness" => jitter(0),
        "contrast" => jitter(1),
        "saturation" => jitter(2),
        "hue" => jitter(3),
        "resize" => Box::new(Resize::new(size()).unwrap()),
        "center_crop" => Box::new(CenterCrop::new(size()).unwrap()),
        "affine" => Box::new(Affine { degrees: p[0], translate: [p[1], p[2]], scale: p[3] }),
        "horizontal_flip" => Box::new(RandomHorizontalFlip::new(1.0).unwrap()),
        "vertical_flip" => Box::new(RandomVerticalFlip::new(1.0).unwrap()),
        "normalize" => {
            let [mean, std] = [[p[0] as f32, p[1] as f32], [p[2] as f32, p[3] as f32]];
            Box::new(Normalize::new(&mean, &std).unwrap())
        }
        _ => panic!("{op} is not known"),
    }
}

#[test]
fn transforms_agree_with_torchvision() {
    let golden: Value = serde_json::from_str(include_str!("golden/augment.json")).unwrap();
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    let rows = golden["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 42);
    for row in rows {
        let (op, parameters) = (row["op"].as_str().unwrap(), numbers(&row["parameters"]));
        let shape: Vec<usize> = numbers(&row["shape"]).into_iter().map(|extent| extent as usize).collect();
        let input = numbers(&row["input"]).into_iter().map(|value| value as f32).collect();
        let transform = transform(op, &parameters);
        let output = transform.apply(input, &shape, &mut Draws::for_sample(1, 2, 3, 0)).unwrap();
        let expected = numbers(&row["output"]);
        assert_eq!(output.len(), transform.output_shape(&shape).unwrap().iter().product::<usize>());
        assert_eq!(output.len(), expected.len(), "{op} {parameters:?}");
        for (value, expected) in output.iter().zip(&expected) {
            let error = (f64::from(*value) - expected).abs();
            assert!(error < 3e-6, "{op} {parameters:?} of {shape:?}: {value} for {expected}");
        }
    }
}
