//! local_response_norm against the reference's vectors, its formula in any layout, and bad arguments.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::layouts::{reals, same_on_any_threads, scattered, turned, values};
use support::{Count, close};
use taper_ops::{Error, local_response_norm};

#[test]
fn golden() {
    let count = support::check(
        "local_response_norm",
        |_| true,
        |case, inputs| {
            let number = |name: &str| case.kwargs[name].as_f64().unwrap();
            let y = local_response_norm(
                &inputs["input"],
                case.kwargs["size"].as_u64().unwrap() as usize,
                number("alpha"),
                number("beta"),
                number("k"),
            )?;
            Ok(Some(vec![y]))
        },
        |_, error: &Error| assert!(matches!(error, Error::Rank { argument: "input", .. }), "{error}"),
    );
    assert_eq!(count, Count { passed: 20, refused: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_formula_in_any_layout(
        samples in 1..=3usize,
        channels in 1..=6usize,
        positions in prop::collection::vec(1..=4usize, 1..=3),
        size in 1..=8usize,
        layout in prop::sample::select(vec![Tensor::clone as fn(&Tensor) -> Tensor, scattered, turned]),
    ) {
        let (alpha, beta, k) = (0.7, 0.8, 1.3);
        let volume: usize = positions.iter().product();
        let x = reals(&[vec![samples, channels], positions].concat(), 1);
        let flat = values(&x);
        let y = (0..flat.len()).map(|i| {
            let (n, c, p) = (i / volume / channels, i / volume % channels, i % volume);
            let near = (0..channels).filter(|&j| j + size / 2 >= c && j <= c + (size - 1) / 2);
            let sum: f64 = near.map(|j| flat[(n * channels + j) * volume + p].powi(2)).sum();
            flat[i] / (k + alpha * sum / size as f64).powf(beta)
        });
        let y = Tensor::from_iter(y, &Device::Cpu).unwrap().reshape(x.shape()).unwrap();
        close("y", &local_response_norm(&layout(&x), size, alpha, beta, k).unwrap(), &y, 1e-12);
    }
}

#[test]
fn a_batch_of_nothing_goes_forward_and_backward() {
    let x = Var::zeros((0, 3, 5), DType::F32, &Device::Cpu).unwrap();
    let y = local_response_norm(&x, 3, 1e-4, 0.75, 1.).unwrap();
    assert_eq!(y.dims(), [0, 3, 5]);
    assert_eq!(y.backward().unwrap().get(&x).unwrap().dims(), [0, 3, 5]);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let x = Var::from_tensor(&reals(&[5, 7, 61, 43], 2).to_dtype(DType::F32).unwrap()).unwrap();
    same_on_any_threads(|| {
        let y = local_response_norm(&x, 5, 0.3, 0.75, 2.).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        vec![grads.get(&x).unwrap().clone(), y]
    });
}

#[test]
fn refusals_name_the_values() {
    let x = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap();
    let message = |size, alpha, beta, k| local_response_norm(&x, size, alpha, beta, k).unwrap_err().to_string();
    assert_eq!(message(0, 1., 1., 1.), "local_response_norm: size must be positive, got [0]");
    assert_eq!(message(2, -1., 1., 1.), "local_response_norm: alpha must be a finite number of at least 0, got -1");
    assert_eq!(
        message(2, 1., f64::NAN, 1.),
        "local_response_norm: beta must be a finite number of at least 0, got NaN"
    );
    assert_eq!(message(2, 1., 1., 0.), "local_response_norm: k must be a finite number above 0, got 0");
    let flat = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let error = local_response_norm(&flat, 2, 1., 1., 1.).unwrap_err();
    assert!(matches!(error, Error::Rank { .. }));
    assert_eq!(error.to_string(), "local_response_norm: input must have 3 or more dimensions, got shape [2, 3]");
    let bytes = x.to_dtype(DType::U8).unwrap();
    let error = local_response_norm(&bytes, 2, 1., 1., 1.).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::U8, .. }), "{error:?}");
}
