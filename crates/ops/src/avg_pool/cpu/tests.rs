//! The kernels in vectors, on every tier, against the scalar ones: every bit, over random geometry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::spec::Divisor;
use super::{scalar_forward, scalar_input_grad, vectors};
use crate::simd::Tier;
use crate::window::{PoolDims, WindowSpec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// Windows of every kind; a third of them are squares of two by two, side by side.
fn geometry() -> impl Strategy<Value = PoolDims> {
    let input = (1usize..4, 1usize..5, 1usize..4, 1usize..9, 1usize..46);
    let axes = |range: std::ops::Range<usize>| [range.clone(), range.clone(), range];
    let windows = (axes(1..6), axes(1..5), axes(0..3), any::<bool>(), 0..3);
    (input, windows).prop_filter_map(
        "there is a window",
        |((n, c, depth, height, width), (kernel_size, stride, padding, ceil_mode, kind))| {
            let padding = [0, 1, 2].map(|axis| padding[axis].min(kernel_size[axis] / 2));
            let general = WindowSpec::<3> { kernel_size, stride, padding, dilation: [1; 3], ceil_mode };
            let squares = [kernel_size[0], 2, 2];
            let pairs = WindowSpec { kernel_size: squares, stride: squares, padding: [0; 3], ..general };
            let spec = if kind == 0 { pairs } else { general };
            spec.dims("avg_pool3d", &[n, c, depth, height, width]).ok()
        },
    )
}

/// The bits of numbers, those of NaN apart, zeros of either sign alike.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|&value| if value.is_nan() { f32::NAN } else { value + 0. }.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        rng_seed: RngSeed::Fixed(20_261_124),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn vectors_are_the_scalar_kernels(
        dims in geometry(),
        divisor in select(vec![Divisor::Padded, Divisor::Valid, Divisor::Fixed(7), Divisor::Fixed(-4)]),
        mut values in prop::collection::vec(-1e3f32..1e3, 1..90),
        odd in select(vec![0., -0., f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 2.]),
    ) {
        values.push(odd);
        let filled = |len: usize| -> Vec<f32> { values.iter().copied().cycle().take(len).collect() };
        let (x, dy) = (filled(dims.planes.input.iter().product()), filled(dims.planes.output_len));
        let (y, dx) = (scalar_forward(&dims, divisor, &x), scalar_input_grad(&dims, divisor, &dy));
        for tier in Tier::all() {
            if vectors::serves(&dims) {
                prop_assert_eq!(bits(&vectors::forward(tier, &dims, divisor, &x)), bits(&y), "{:?}", tier);
            }
            if vectors::serves_input_grad(&dims) {
                prop_assert_eq!(bits(&vectors::input_grad(tier, &dims, divisor, &dy)), bits(&dx), "{:?}", tier);
            }
        }
    }
}
