//! Every algorithm on every tier against the formula, over random geometry.

#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{depthwise, direct, dots, unfold};
use crate::conv::spec::{ConvDims, ConvSpec, Padding};
use crate::simd::Tier;
use proptest::prelude::*;

/// y, dx and dw for the cotangent `dy`, term by term.
fn naive(d: &ConvDims, x: &[f32], w: &[f32], dy: &[f32]) -> [Vec<f32>; 3] {
    let (c_in, c_out) = (d.c_in_group(), d.c_out_group());
    let (mut y, mut dx, mut dw) = (vec![0.; dy.len()], vec![0.; x.len()], vec![0.; w.len()]);
    let [_, h_out, w_out] = d.output;
    let [_, k_h, k_w] = d.kernel;
    for (i, dy) in dy.iter().enumerate() {
        let (n, channel, p) = (i / (d.c_out * d.out_plane()), i / d.out_plane() % d.c_out, i % d.out_plane());
        let o = [p / (h_out * w_out), p / w_out % h_out, p % w_out];
        for k in 0..c_in * d.taps() {
            let (from, tap) = (k / d.taps(), k % d.taps());
            let t = [tap / (k_h * k_w), tap / k_w % k_h, tap % k_w];
            let at = [0, 1, 2].map(|a| (o[a] * d.stride[a] + t[a] * d.dilation[a]).checked_sub(d.padding[a]));
            let [Some(z), Some(r), Some(c)] = at else { continue };
            if z < d.input[0] && r < d.input[1] && c < d.input[2] {
                let from = channel / c_out * c_in + from;
                let x_at = (n * d.c_in + from) * d.in_plane() + (z * d.input[1] + r) * d.input[2] + c;
                let w_at = channel * c_in * d.taps() + k;
                y[i] += x[x_at] * w[w_at];
                dx[x_at] += dy * w[w_at];
                dw[w_at] += dy * x[x_at];
            }
        }
    }
    [y, dx, dw]
}

fn integers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + i / 5) % 7) as f32 - 3.).collect()
}

fn geometry() -> impl Strategy<Value = ConvDims> {
    let axes = |range: std::ops::Range<usize>| [range.clone(), range.clone(), range];
    let channels = (0usize..4, 1usize..4, 1usize..22, 1usize..15);
    (channels, axes(1..12), axes(1..4), axes(1..4), axes(1..3), axes(0..4), axes(0..4)).prop_filter_map(
        "the kernel fits",
        |((n, groups, c_in, c_out), input, kernel, stride, dilation, before, after)| {
            let padding = [0, 1, 2].map(|axis| (before[axis], after[axis]));
            let spec = ConvSpec::<3>::default().stride(stride).dilation(dilation).groups(groups);
            let spec = spec.padding(Padding::Explicit(padding));
            let x = [&[n, c_in * groups][..], &input].concat();
            let w = [&[c_out * groups, c_in][..], &kernel].concat();
            spec.dims("conv3d", &x, &w).ok()
        },
    )
}

/// One input channel a group, square kernels of neighbours in two thirds of the cases.
fn depthwise_geometry() -> impl Strategy<Value = ConvDims> {
    let axes = |range: std::ops::Range<usize>| [range.clone(), range.clone(), range];
    let channels = (0usize..4, 1usize..6, 1usize..4, 0usize..3);
    let input = (1usize..4, 1usize..12, 1usize..52);
    (channels, input, axes(1..5), axes(1..4), axes(1..3), axes(0..4), axes(0..4)).prop_filter_map(
        "the kernel fits",
        |((n, groups, c_out, square), (depth, height, width), kernel, stride, dilation, before, after)| {
            let kernel = [kernel, [1, 3, 3], [1, 5, 5]][square];
            let [stride, dilation] = if square > 0 { [[1; 3]; 2] } else { [stride, dilation] };
            let mut padding = [0, 1, 2].map(|axis| (before[axis], after[axis]));
            if square > 0 {
                padding[0] = (0, 0);
            }
            let spec = ConvSpec::<3>::default().stride(stride).dilation(dilation).groups(groups);
            let spec = spec.padding(Padding::Explicit(padding));
            let x = [n, groups, if square > 0 { 1 } else { depth }, height, width];
            spec.dims("conv3d", &x, &[&[c_out * groups, 1][..], &kernel].concat()).ok()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_algorithm_is_the_formula(d in geometry()) {
        let x = integers(d.n * d.c_in * d.in_plane(), 1);
        let w = integers(d.c_out * d.c_in_group() * d.taps(), 2);
        let dy = integers(d.n * d.c_out * d.out_plane(), 3);
        let [y, dx, dw] = naive(&d, &x, &w, &dy);
        prop_assert_eq!(unfold::forward(&d, &x, &w, None), y.clone());
        prop_assert_eq!(unfold::input_grad(&d, &dy, &w, None), dx.clone());
        prop_assert_eq!(unfold::weight_grad(&d, &x, &dy), dw.clone());
        for tier in Tier::all() {
            prop_assert_eq!(&direct::forward(tier, &d, &x, &w, None), &y, "{:?}", tier);
            prop_assert_eq!(&direct::input_grad(tier, &d, &dy, &w, None), &dx, "{:?}", tier);
            prop_assert_eq!(&direct::weight_grad(tier, &d, &x, &dy), &dw, "{:?}", tier);
            prop_assert_eq!(&dots::weight_grad(tier, &d, &x, &dy), &dw, "{:?}", tier);
        }
    }

    #[test]
    fn depthwise_is_the_formula(d in depthwise_geometry()) {
        let x = integers(d.n * d.c_in * d.in_plane(), 1);
        let w = integers(d.c_out * d.taps(), 2);
        let dy = integers(d.n * d.c_out * d.out_plane(), 3);
        let [y_bias, dx_bias] = [integers(d.c_out, 4), integers(d.c_in, 5)];
        let [mut y, mut dx, dw] = naive(&d, &x, &w, &dy);
        add_bias(&mut y, &y_bias, d.out_plane());
        add_bias(&mut dx, &dx_bias, d.in_plane());
        for tier in Tier::all() {
            prop_assert_eq!(&depthwise::forward(tier, &d, &x, &w, Some(&y_bias)), &y, "{:?}", tier);
            prop_assert_eq!(&depthwise::weight_grad(tier, &d, &x, &dy), &dw, "{:?}", tier);
            if depthwise::serves_input_grad(&d) {
                prop_assert_eq!(&depthwise::input_grad(tier, &d, &dy, &w, Some(&dx_bias)), &dx, "{:?}", tier);
            }
        }
    }
}

fn add_bias(y: &mut [f32], b: &[f32], plane: usize) {
    for (i, y) in y.iter_mut().enumerate() {
        *y += b[i / plane % b.len()];
    }
}

#[test]
fn tiers_with_a_fused_product_agree_to_the_bit() {
    let spec = ConvSpec::<2>::default().stride([2, 1]).padding(1);
    let d = spec.dims("conv2d", &[2, 19, 9, 21], &[23, 19, 3, 3]).unwrap();
    let reals =
        |count, seed| integers(count, seed).into_iter().enumerate().map(|(i, v)| v / (i % 11 + 3) as f32).collect();
    let x: Vec<f32> = reals(d.n * d.c_in * d.in_plane(), 1);
    let w: Vec<f32> = reals(d.c_out * d.c_in * d.taps(), 2);
    let dy: Vec<f32> = reals(d.n * d.c_out * d.out_plane(), 3);
    let bits = |tier: Tier| {
        let all = [
            direct::forward(tier, &d, &x, &w, None),
            direct::input_grad(tier, &d, &dy, &w, None),
            direct::weight_grad(tier, &d, &x, &dy),
        ];
        all.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let fused: Vec<_> = Tier::all().into_iter().filter(|tier| !matches!(tier, Tier::Portable)).map(bits).collect();
    assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
}
