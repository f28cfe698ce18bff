//! The kernels in vectors, on every tier, against the scalar ones in another type: every bit, over random geometry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{gather, indices, scalar, taps, vectors, vectors_grad};
use crate::simd::Tier;
use crate::window::{PoolDims, WindowSpec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// Windows of every kind; a third of them are squares of two by two, side by side.
fn geometry() -> impl Strategy<Value = PoolDims> {
    let input = (1usize..4, 1usize..5, 1usize..4, 1usize..9, 1usize..46);
    let axes = |range: std::ops::Range<usize>| [range.clone(), range.clone(), range];
    let windows = (axes(1..6), axes(1..5), axes(0..3), axes(1..4), any::<bool>(), 0..3);
    (input, windows).prop_filter_map(
        "there is a window, and none is empty",
        |((n, c, depth, height, width), (kernel_size, stride, padding, dilation, ceil_mode, kind))| {
            let padding = [0, 1, 2].map(|axis| padding[axis].min(kernel_size[axis] / 2));
            let general = WindowSpec::<3> { kernel_size, stride, padding, dilation, ceil_mode };
            let pairs = WindowSpec {
                kernel_size: [kernel_size[0], 2, 2],
                stride: [kernel_size[0], 2, 2],
                padding: [0; 3],
                dilation: [1; 3],
                ceil_mode,
            };
            let spec = if kind == 0 { pairs } else { general };
            spec.dims("max_pool3d", &[n, c, depth, height, width]).ok()
        },
    )
}

/// Equal elements, signed zeros, infinities and NaN are frequent; in half of the draws there is no NaN.
fn pattern() -> impl Strategy<Value = Vec<f32>> {
    let all = [-2., -1., -0., 0., 1., 2., f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    prop_oneof![
        prop::collection::vec(select(all.to_vec()), 1..90),
        prop::collection::vec(select(all[..8].to_vec()), 1..90),
    ]
}

/// The bits of numbers, those of NaN apart.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        rng_seed: RngSeed::Fixed(20_261_124),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn vectors_are_the_scalar_kernels(dims in geometry(), pattern in pattern()) {
        let len = dims.planes.input.iter().product();
        let x: Vec<f32> = pattern.iter().copied().cycle().take(len).collect();
        let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let (y, at) = scalar::forward::<f64, u8>(&dims, &wide);
        let y: Vec<f32> = y.into_iter().map(|y| y as f32).collect();
        let (_, places) = scalar::forward::<f64, i64>(&dims, &wide);
        prop_assert_eq!(indices(&dims, &at), places);
        prop_assert_eq!(bits(&gather(&dims, &at, &x)), bits(&y));
        // Sums of which are exact.
        let dy: Vec<f32> = (0..y.len()).map(|i| (i * 7919 % 23) as f32 - 11.).collect();
        let dx = taps::scatter(&dims, &at, &dy);
        for tier in Tier::all() {
            let (found, taps) = vectors::forward_with_taps(tier, &dims, &x);
            prop_assert_eq!(bits(&found), bits(&y), "{:?}", tier);
            prop_assert_eq!(&taps, &at, "{:?}", tier);
            prop_assert_eq!(bits(&vectors::forward(tier, &dims, &x)), bits(&y), "{:?}", tier);
            if vectors_grad::serves(&dims) {
                prop_assert_eq!(&vectors_grad::scatter(tier, &dims, &at, &dy), &dx, "{:?}", tier);
            }
        }
    }
}
