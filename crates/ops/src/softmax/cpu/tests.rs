//! Every way to cut a sample, on every tier, against the formulas in float64.

#![allow(clippy::float_cmp, reason = "infinities agree by equality")]

use super::formula::{Formula, LogSoftmax, LogSoftmaxGrad, Softmax, SoftmaxGrad};
use super::{SoftmaxDims, run};
use crate::simd::Tier;
use candle_core::Shape;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The formula as it is written, in float64.
fn naive<F: Formula<f64>>(dims: &SoftmaxDims, a: &[f32], b: &[f32]) -> Vec<f64> {
    let mut out = vec![0.; a.len()];
    let sample = dims.classes * dims.inner;
    for first in (0..a.len()).filter(|at| at % sample < dims.inner) {
        let positions = (0..dims.classes).map(|class| first + class * dims.inner);
        let max = positions.clone().map(|at| f64::from(a[at])).fold(f64::NEG_INFINITY, f64::max);
        let terms: Vec<f64> = positions.clone().map(|at| F::default().term(a[at].into(), b[at].into(), max)).collect();
        let sum = F::default().of_sum(terms.iter().sum());
        for (at, term) in positions.zip(terms) {
            out[at] = F::default().value(a[at].into(), b[at].into(), max, sum, term);
        }
    }
    out
}

fn hold<F: Formula<f32> + Formula<f64>>(dims: &SoftmaxDims, a: &[f32], b: &[f32]) -> Result<(), TestCaseError> {
    let expected = naive::<F>(dims, a, b);
    for tier in Tier::all() {
        for (found, expected) in run::<f32, F>(tier, dims, a, b).into_iter().zip(&expected) {
            let found = f64::from(found);
            // Of the largest term, for differences cancel.
            let close = (found - expected).abs() <= 2e-6 * (1. + expected.abs());
            let same = found == *expected || found.is_nan() && expected.is_nan();
            prop_assert!(close || same, "{tier:?}: {found}, the formula has {expected}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(20_261_124),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_cut_is_the_formula(
        outer in 0usize..4,
        classes in prop_oneof![1usize..12, 30usize..70, 1000usize..1100],
        inner in prop_oneof![Just(1usize), 2usize..9, 60usize..70, Just(640), Just(521)],
        pattern in prop::collection::vec(-4f32..4., 1..90),
        infinite in any::<bool>(),
    ) {
        prop_assume!(outer * classes * inner < 1 << 17);
        let dims = SoftmaxDims { shape: Shape::from((outer, classes, inner)), axis: 1, classes, inner };
        let filled = |values: &[f32], step: usize| -> Vec<f32> {
            (0..outer * classes * inner).map(|i| values[i * step % values.len()]).collect()
        };
        let mut x = filled(&pattern, 1);
        if infinite && !x.is_empty() {
            x[0] = f32::NEG_INFINITY;
        }
        let weights: Vec<f32> = pattern.iter().map(|value| value / 4.).collect();
        let dy = filled(&weights, 7);
        hold::<Softmax>(&dims, &x, &x)?;
        hold::<LogSoftmax>(&dims, &x, &x)?;
        let y: Vec<f32> = naive::<Softmax>(&dims, &x, &x).into_iter().map(|y| y as f32).collect();
        hold::<SoftmaxGrad>(&dims, &y, &dy)?;
        let log_y: Vec<f32> = naive::<LogSoftmax>(&dims, &x, &x).into_iter().map(|y| y as f32).collect();
        hold::<LogSoftmaxGrad>(&dims, &log_y, &dy)?;
    }
}
