//! Normalisation in float32 beside float64 on the same numbers: how far its blocks of sums may be off, over extents on both
//! sides of a vector, a block and a task, and on numbers that float32 does not hold well.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use support::layouts::{reals, same_on_any_threads, scattered, turned, values};
use taper_ops::{batch_norm, batch_norm_with_statistics, group_norm, instance_norm, layer_norm, rms_norm};

/// What a channel's numbers look like, before a scale and an offset.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Even,
    /// Half of them 0.
    Rectified,
    /// Rising from the first sample to the last.
    Rising,
    /// The first thousands of deviations away.
    Outlier,
}

fn numbers(kind: Numbers, shape: &[usize], scale: f64, offset: f64) -> Tensor {
    let even = values(&reals(shape, 1));
    let count = even.len() as f64;
    let number = |(i, x): (usize, f64)| match kind {
        Numbers::Even => x,
        Numbers::Rectified => x.max(0.),
        Numbers::Rising => 0.1 * x + 8. * i as f64 / count,
        Numbers::Outlier if i == 0 => 5000.,
        Numbers::Outlier => x,
    };
    let numbers = even.into_iter().enumerate().map(|x| number(x) * scale + offset);
    Tensor::from_iter(numbers, &Device::Cpu).unwrap().reshape(shape).unwrap().to_dtype(DType::F32).unwrap()
}

/// y, the gradients of x, weight and bias, and the statistics, in `dtype`.
fn run(x: &Tensor, dtype: DType, layout: fn(&Tensor) -> Tensor, eps: f64) -> [Vec<f64>; 6] {
    let channels = x.dims()[1];
    let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
    let [weight, bias] = [2, 3].map(|seed| reals(&[channels], seed).to_dtype(DType::F32).unwrap());
    let [weight, bias] = [weight, bias].map(|t| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap());
    let dy = reals(x.dims(), 4).to_dtype(DType::F32).unwrap().to_dtype(dtype).unwrap();
    let (y, batch) = batch_norm_with_statistics(&layout(&x), Some(&weight), Some(&bias), eps).unwrap();
    let grads = (&y * layout(&dy)).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |var: &Var| grads.get(var).unwrap().clone();
    [y, grad(&x), grad(&weight), grad(&bias), batch.mean, batch.var].map(|t| values(&t))
}

/// The largest difference, as a share of `of`.
fn off(found: &[f64], exact: &[f64], of: impl Fn(usize) -> f64) -> f64 {
    let off = found.iter().zip(exact).enumerate().map(|(i, (found, exact))| (found - exact).abs() / of(i));
    // Not `max`, which would turn a NaN into 0.
    off.fold(0., |most, off| if off <= most { most } else { off })
}

/// A share of what float32 can tell apart beside numbers of this size.
const ROUNDING: f64 = 1.2e-7;

/// Beyond it a variance is infinite in float32, though what is normalised by it is not.
const MAX: f64 = f32::MAX as f64;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn batch_norm_is_that_of_float64_within_a_bound(
        (samples, channels) in (2usize..150, 1usize..7),
        positions in prop::sample::select(vec![1usize, 2, 3, 7, 15, 16, 17, 31, 49, 63, 64, 65, 196, 1023, 1025, 3000]),
        kind in prop::sample::select(vec![Numbers::Even, Numbers::Rectified, Numbers::Rising, Numbers::Outlier]),
        scale in prop::sample::select(vec![1e-15, 1e-3, 1., 1e3, 1e18]),
        offset in prop::sample::select(vec![0., 3., -1e4]),
        layout in prop::sample::select(vec![Tensor::clone as fn(&Tensor) -> Tensor, scattered, turned]),
    ) {
        let samples = samples.min(1 + 20_000 / positions);
        // The offset in units of the scale, so that there is some variance left to tell.
        let x = numbers(kind, &[samples, channels, positions], scale, offset * scale);
        let eps = 1e-5 * scale * scale;
        let [single, exact] = [DType::F32, DType::F64].map(|dtype| run(&x, dtype, layout, eps));
        let (count, channel) = ((samples * positions) as f64, |i: usize| i / positions % channels);
        let [weight, bias] = [2, 3].map(|seed| values(&reals(&[channels], seed)));
        let deviation = |c: usize| (exact[5][c] * (count - 1.) / count + eps).sqrt();
        let mean = |c: usize| deviation(c) + exact[4][c].abs() * ROUNDING / 1e-6;
        prop_assert!(off(&single[4], &exact[4], mean) <= 1e-6, "mean: {:e}", off(&single[4], &exact[4], mean));
        let var: [Vec<f64>; 2] = [&single, &exact].map(|all| all[5].iter().map(|var| var.min(MAX)).collect());
        let var = off(&var[0], &var[1], |c| exact[5][c]);
        prop_assert!(var <= 1e-6, "var: {var:e}");
        let y = off(&single[0], &exact[0], |i| exact[0][i].abs() + weight[channel(i)].abs() + bias[channel(i)].abs());
        prop_assert!(y <= 1e-6, "y: {y:e}");
        let dx = off(&single[1], &exact[1], |i| weight[channel(i)].abs() / deviation(channel(i)) * 4.);
        prop_assert!(dx <= 1e-6, "dx: {dx:e}");
        // Sums of products of numbers near 1 and of dy, which is at most 2.
        let dweight = off(&single[2], &exact[2], |_| 2. * count).max(off(&single[3], &exact[3], |_| 2. * count));
        prop_assert!(dweight <= 3e-7, "dweight, dbias: {dweight:e}");
    }
}

#[test]
fn other_sets_are_those_of_float64_within_a_bound() {
    for shape in [[3, 4, 5, 7], [2, 4, 61, 67], [2, 2, 150, 140]] {
        for (scale, offset) in [(1., 0.), (1e-2, 100.), (1e25, 1e25), (1e-20, 0.)] {
            let x = numbers(Numbers::Even, &shape, scale, offset);
            let calls = |x: &Tensor| {
                [
                    group_norm(x, 2, None, None, 0.).unwrap(),
                    instance_norm(x, None, None, 0.).unwrap(),
                    layer_norm(x, &shape[1..], None, None, 0.).unwrap(),
                    rms_norm(x, &shape[2..], None, Some(0.)).unwrap(),
                ]
            };
            for (found, exact) in calls(&x).iter().zip(calls(&x.to_dtype(DType::F64).unwrap())) {
                let off = off(&values(found), &values(&exact), |_| 1.);
                assert!(off <= 2e-6, "{shape:?} {scale} {offset}: {off:e}");
            }
        }
    }
}

#[test]
fn a_nan_or_an_infinity_stays_within_its_channel() {
    for positions in [1, 7, 70, 1030] {
        for wrong in [f32::NAN, f32::INFINITY] {
            let (samples, channels) = (150, 3);
            let shape = [samples, channels, positions];
            let mut x: Vec<f32> = values(&reals(&shape, 5)).iter().map(|&x| x as f32).collect();
            x[(40 * channels + 1) * positions + positions / 2] = wrong;
            let x = Var::from_tensor(&Tensor::from_vec(x, &shape, &Device::Cpu).unwrap()).unwrap();
            let y = batch_norm(&x, None, None, 1e-5).unwrap();
            let dx = y.sqr().unwrap().backward().unwrap().get(&x).unwrap().clone();
            for (i, (y, dx)) in values(&y).into_iter().zip(values(&dx)).enumerate() {
                let within = i / positions % channels == 1;
                assert!(y.is_nan() == within && dx.is_nan() == within, "{wrong} at {i} of {positions}: {y} {dx}");
            }
        }
    }
}

/// Gradients whose sums, or whose products with x, float32 does not hold.
#[test]
fn gradients_as_large_as_float32_holds() {
    for positions in [9, 2000] {
        let shape = [20, 3, positions];
        let gradients = |dtype: DType| {
            let x = Var::from_tensor(&reals(&shape, 6).to_dtype(dtype).unwrap()).unwrap();
            let dy = reals(&shape, 7).affine(1e37, 2e37).unwrap().to_dtype(dtype).unwrap();
            let y = batch_norm(&x, None, None, 1e-5).unwrap();
            let loss = (y * dy).unwrap().sum_all().unwrap();
            values(loss.backward().unwrap().get(&x).unwrap())
        };
        let off = off(&gradients(DType::F32), &gradients(DType::F64), |_| 4e37);
        assert!(off <= 1e-6, "{off:e}");
    }
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    for shape in [vec![130, 600, 9], vec![130, 5], vec![3, 2, 211, 197], vec![20, 70, 70], vec![9, 3, 41, 47]] {
        let new = |shape: &[usize], seed| Var::from_tensor(&reals(shape, seed).to_dtype(DType::F32).unwrap()).unwrap();
        let (x, weight) = (new(&shape, 8), new(&shape[1..2], 9));
        same_on_any_threads(|| {
            let (y, batch) = batch_norm_with_statistics(&x, Some(&weight), None, 1e-5).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            vec![grads.get(&x).unwrap().clone(), grads.get(&weight).unwrap().clone(), y, batch.mean, batch.var]
        });
    }
}
