//! Dropout layers and fractional pooling: what they print, that they are their operators, and that evaluation draws nothing.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Tensor};
use taper_layers::{
    AlphaDropout, DropBlock2d, DropPath, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout,
    FractionalMaxPool2d, FractionalMaxPool3d, Layer, observe,
};
use taper_ops::{
    Draw, FractionalMaxPoolSpec, Mode, alpha_dropout, drop_block2d, drop_path, dropout, dropout1d, dropout2d,
    dropout3d, feature_alpha_dropout, fractional_max_pool2d, fractional_max_pool3d,
};

const DRAW: Draw = Draw { seed: 7, step: 5, layer: 0, first_sample: 3 };

fn ramp(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as f64;
    (Tensor::arange(1., count + 1., &Device::Cpu).unwrap() / count).unwrap().reshape(shape).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The layer in the mode of `DRAW`, and what it prints and calls itself.
fn trained<L: Layer + std::fmt::Display>(layer: &L, x: &Tensor, text: &str) -> Vec<f64> {
    let (y, calls) = observe(|| layer.forward_in(x, &Mode::train(DRAW.seed, DRAW.step, DRAW.first_sample)));
    assert_eq!((layer.to_string().as_str(), calls[0].kind.as_str()), (text, text.split('(').next().unwrap()));
    values(&y.unwrap())
}

#[test]
fn in_training_they_are_their_operators() {
    let (line, plane, volume) = (ramp(&[4, 3, 6]), ramp(&[4, 3, 6, 5]), ramp(&[4, 3, 6, 5, 2]));
    let cases = [
        (trained(&Dropout::new(0.5), &line, "Dropout(p=0.5)"), dropout(&line, 0.5, DRAW)),
        (trained(&Dropout1d::new(0.5), &line, "Dropout1d(p=0.5)"), dropout1d(&line, 0.5, DRAW)),
        (trained(&Dropout2d::new(0.25), &plane, "Dropout2d(p=0.25)"), dropout2d(&plane, 0.25, DRAW)),
        (trained(&Dropout3d::new(0.5), &volume, "Dropout3d(p=0.5)"), dropout3d(&volume, 0.5, DRAW)),
        (trained(&AlphaDropout::new(0.5), &line, "AlphaDropout(p=0.5)"), alpha_dropout(&line, 0.5, DRAW)),
        (
            trained(&FeatureAlphaDropout::new(0.5), &line, "FeatureAlphaDropout(p=0.5)"),
            feature_alpha_dropout(&line, 0.5, DRAW),
        ),
        (trained(&DropPath::new(0.5), &plane, "DropPath(p=0.5)"), drop_path(&plane, 0.5, DRAW)),
        (
            trained(&DropBlock2d::new(0.2, 3), &plane, "DropBlock2d(p=0.2, block_size=3)"),
            drop_block2d(&plane, 0.2, 3, DRAW),
        ),
    ];
    for (layer, operator) in cases {
        assert_eq!(layer, values(&operator.unwrap()));
    }
    let (spec2, spec3) = (FractionalMaxPoolSpec::new(2, [3, 4]), FractionalMaxPoolSpec::new([2, 2, 1], [3, 2, 2]));
    assert_eq!(
        trained(&FractionalMaxPool2d::from(spec2), &plane, "FractionalMaxPool2d()"),
        values(&fractional_max_pool2d(&plane, &spec2, DRAW).unwrap())
    );
    assert_eq!(
        trained(&FractionalMaxPool3d::from(spec3), &volume, "FractionalMaxPool3d()"),
        values(&fractional_max_pool3d(&volume, &spec3, DRAW).unwrap())
    );
}

#[test]
fn in_evaluation_dropout_is_the_identity_and_refuses_a_wrong_probability_too() {
    let x = ramp(&[4, 3, 6, 5]);
    for y in [
        Dropout2d::new(0.5).eval().forward(&x),
        AlphaDropout::new(0.5).eval().forward(&x),
        FeatureAlphaDropout::new(0.5).eval().forward(&x),
        DropPath::new(0.5).eval().forward(&x),
        DropBlock2d::new(0.5, 3).eval().forward(&x),
    ] {
        assert_eq!(y.unwrap().id(), x.id());
    }
    for (error, name) in [
        (Dropout1d::new(1.5).eval().forward(&x), "Dropout1d"),
        (Dropout3d::new(1.5).eval().forward(&x), "Dropout3d"),
        (DropBlock2d::new(1.5, 3).eval().forward(&x), "DropBlock2d"),
    ] {
        let message = format!("{name}: the probability must lie between 0 and 1, got 1.5");
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

#[test]
fn in_evaluation_fractional_pooling_has_windows_that_do_not_depend_on_the_batch() {
    let x = Tensor::rand(0f64, 1., (4, 3, 9, 11), &Device::Cpu).unwrap();
    let pool = FractionalMaxPool2d::from(FractionalMaxPoolSpec::new([2, 3], [5, 4]));
    let whole = pool.eval().forward(&x).unwrap();
    assert_eq!(values(&whole), values(&pool.eval().forward(&x).unwrap()));
    for n in 0..4 {
        let sample = pool.eval().forward(&x.get(n).unwrap()).unwrap();
        assert_eq!(values(&sample), values(&whole.get(n).unwrap()));
    }
    let wrong = Tensor::zeros((9, 11), DType::F64, &Device::Cpu).unwrap();
    let error = pool.eval().forward(&wrong).unwrap_err();
    assert_eq!(error.to_string(), "fractional_max_pool2d: input must have 3 or 4 dimensions, got shape [9, 11]");
}
