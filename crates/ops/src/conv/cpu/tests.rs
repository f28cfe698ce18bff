//! Every algorithm on every tier against the formula, over random geometry.

#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{depthwise, direct, dots, unfold, winograd};
use crate::conv::spec::{ConvDims, ConvSpec, Padding};
use crate::simd::Tier;
use crate::storage::Element;
use proptest::prelude::*;

/// y, dx and dw for the cotangent `dy`, term by term.
fn naive<T: Element>(d: &ConvDims, x: &[T], w: &[T], dy: &[T]) -> [Vec<T>; 3] {
    let (c_in, c_out) = (d.c_in_group(), d.c_out_group());
    let [mut y, mut dx, mut dw] = [dy.len(), x.len(), w.len()].map(|len| vec![T::zero(); len]);
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
                dx[x_at] += *dy * w[w_at];
                dw[w_at] += *dy * x[x_at];
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

/// Channels enough for panels that are gathered and for pixels of several vectors, over samples that share a task.
fn geometry_of_many_channels() -> impl Strategy<Value = ConvDims> {
    let pair = |range: std::ops::Range<usize>| (range.clone(), range);
    let channels = (prop_oneof![0usize..4, Just(24)], 1usize..3, 1usize..80, 1usize..110);
    (channels, pair(1..14), pair(1..4), pair(1..4), pair(1..3), (pair(0..3), pair(0..3))).prop_filter_map(
        "the kernel fits",
        |((n, groups, c_in, c_out), (height, width), kernel, stride, dilation, (above, beside))| {
            let spec = ConvSpec::<2>::default().stride([stride.0, stride.1]).dilation([dilation.0, dilation.1]);
            let spec = spec.groups(groups).padding(Padding::Explicit([above, beside]));
            let w = [c_out * groups, c_in, kernel.0, kernel.1];
            spec.dims("conv2d", &[n, c_in * groups, height, width], &w).ok()
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

/// 3×3 kernels whose output is as large as their input, lines of a vector and more.
fn depthwise_same_geometry() -> impl Strategy<Value = ConvDims> {
    let channels = (0usize..4, 1usize..6, 1usize..4);
    (channels, 1usize..20, 16usize..70).prop_map(|((n, groups, c_out), height, width)| {
        let spec = ConvSpec::<2>::default().padding(1).groups(groups);
        spec.dims("conv2d", &[n, groups, height, width], &[c_out * groups, 1, 3, 3]).unwrap()
    })
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
    fn many_channels_directly_are_the_formula(d in geometry_of_many_channels()) {
        let x = integers(d.n * d.c_in * d.in_plane(), 1);
        let w = integers(d.c_out * d.c_in_group() * d.taps(), 2);
        let dy = integers(d.n * d.c_out * d.out_plane(), 3);
        let [y_bias, dx_bias] = [integers(d.c_out, 4), integers(d.c_in, 5)];
        let [mut y, mut dx, dw] = naive(&d, &x, &w, &dy);
        add_bias(&mut y, &y_bias, d.out_plane());
        add_bias(&mut dx, &dx_bias, d.in_plane());
        for tier in Tier::all() {
            prop_assert_eq!(&direct::forward(tier, &d, &x, &w, Some(&y_bias)), &y, "{:?}", tier);
            prop_assert_eq!(&direct::input_grad(tier, &d, &dy, &w, Some(&dx_bias)), &dx, "{:?}", tier);
            prop_assert_eq!(&direct::weight_grad(tier, &d, &x, &dy), &dw, "{:?}", tier);
        }
    }

    #[test]
    fn depthwise_is_the_formula(d in prop_oneof![depthwise_geometry(), depthwise_same_geometry()]) {
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

/// 3×3 kernels of stride 1 or 2 and 4×4 ones of stride 2 over one plane; along the depth, which has extent 1, a stride that
/// changes nothing.
fn winograd_geometry() -> impl Strategy<Value = ConvDims> {
    let channels = (0usize..4, 1usize..3, 1usize..70, 1usize..70);
    let kernel = prop_oneof![Just((3, 1)), Just((3, 2)), Just((4, 2))];
    let padding = [(0usize..4, 0usize..5), (0usize..4, 0usize..5)];
    (channels, (1usize..23, 1usize..31), 1usize..4, kernel, padding).prop_filter_map(
        "the kernel fits",
        |((n, groups, c_in, c_out), (height, width), depth_stride, (k, stride), [mut above, beside])| {
            above.0 = above.0.min(k - 1);
            let left = if stride == 2 { above.0 + 2 * (beside.0 / 2) } else { beside.0 };
            let left = if left < k { left } else { above.0 };
            let spec = ConvSpec::<3>::default().stride([depth_stride, stride, stride]).groups(groups);
            let spec = spec.padding([(0, 0), above, (left, beside.1)]);
            spec.dims("conv3d", &[n, c_in * groups, 1, height, width], &[c_out * groups, c_in, 1, k, k]).ok()
        },
    )
}

#[test]
fn winograd_takes_no_window_that_lies_in_the_padding_before_its_plane() {
    let spec = ConvSpec::<3>::default().stride([3, 1, 1]).padding([(1, 0), (0, 0), (0, 0)]);
    let d = spec.dims("conv3d", &[1, 32, 1, 9, 10], &[33, 32, 1, 3, 3]).unwrap();
    assert_eq!(d.output[0], 1);
    assert!(!winograd::applies(&d));
}

/// Values in which the rounding error of sums of many terms shows: uniform in ±√3, of variance 1.
fn reals(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64)
        .map(|i| {
            let bits = (i ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bits = (bits ^ bits >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((bits >> 40) as f32 / (1 << 23) as f32 - 1.) * 3f32.sqrt()
        })
        .collect()
}

/// The largest difference of two tensors, in standard deviations of a sum of `terms` products of values of variance 1.
fn error(actual: &[f32], expected: &[f64], terms: usize) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = actual.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0., f64::max);
    largest / (terms as f64).sqrt()
}

fn add_bias<T: Element>(y: &mut [T], b: &[T], plane: usize) {
    for (i, y) in y.iter_mut().enumerate() {
        *y += b[i / plane % b.len()];
    }
}

/// A bound of 2e-5 standard deviations of the output: what the algorithm promises of its rounding error.
const WINOGRAD_BOUND: f64 = 2e-5;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn winograd_is_the_formula_within_its_bound(d in winograd_geometry()) {
        prop_assert!(winograd::applies(&d));
        within_bound(&d)?;
    }
}

#[test]
fn winograd_keeps_its_bound_with_many_channels() {
    let spec = ConvSpec::<2>::default().padding(1);
    for [n, c_in, extent, c_out] in [[1, 512, 7, 33], [1, 256, 14, 40], [3, 70, 29, 64]] {
        for (k, stride) in [(3, 1), (3, 2), (4, 2)] {
            let d = spec.stride(stride).dims("conv2d", &[n, c_in, extent, extent + 1], &[c_out, c_in, k, k]).unwrap();
            within_bound(&d).unwrap();
        }
    }
}

fn within_bound(d: &ConvDims) -> Result<(), TestCaseError> {
    let [x, w, dy] = arguments(d);
    let [y_bias, dx_bias] = [reals(d.c_out, 4), reals(d.c_in, 5)];
    let exact = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let [mut y, mut dx, dw] = naive(d, &exact(&x), &exact(&w), &exact(&dy));
    add_bias(&mut y, &exact(&y_bias), d.out_plane());
    add_bias(&mut dx, &exact(&dx_bias), d.in_plane());
    for tier in Tier::all() {
        // A pixel of the input meets a tap in each stride of them.
        let met: usize = (0..3).map(|axis| d.kernel[axis].div_ceil(d.stride[axis])).product();
        let [y_terms, dx_terms] = [d.c_in_group() * d.taps(), d.c_out_group() * met];
        let dw_terms = d.n * d.out_plane();
        let y = error(&winograd::forward(tier, d, &x, &w, Some(&y_bias)), &y, y_terms);
        let dx = error(&winograd::input_grad(tier, d, &dy, &w, Some(&dx_bias)), &dx, dx_terms);
        let dw = error(&winograd::weight_grad(tier, d, &x, &dy), &dw, dw_terms.max(1));
        prop_assert!(y.max(dx).max(dw) <= WINOGRAD_BOUND, "{tier:?}: y {y:.1e}, dx {dx:.1e}, dw {dw:.1e}");
    }
    Ok(())
}

#[test]
fn tiers_with_a_fused_product_agree_to_the_bit() {
    let spec = ConvSpec::<2>::default().padding(1);
    let d = spec.stride([2, 1]).dims("conv2d", &[2, 19, 9, 21], &[23, 19, 3, 3]).unwrap();
    let tiled = spec.dims("conv2d", &[2, 70, 9, 21], &[34, 70, 3, 3]).unwrap();
    let halved = spec.stride(2).dims("conv2d", &[2, 70, 9, 21], &[34, 70, 3, 3]).unwrap();
    let many = spec.stride(2).dims("conv2d", &[2, 70, 9, 21], &[134, 70, 3, 3]).unwrap();
    let apart = spec.groups(5).dims("conv2d", &[2, 5, 9, 21], &[10, 1, 3, 3]).unwrap();
    let bits = |tier: Tier| {
        let [x, w, dy] = arguments(&d);
        let [a, b, c] = arguments(&tiled);
        let [i, j, k] = arguments(&halved);
        let [l, m, n] = arguments(&many);
        let [p, q, r] = arguments(&apart);
        let all = [
            direct::forward(tier, &d, &x, &w, None),
            direct::input_grad(tier, &d, &dy, &w, None),
            direct::weight_grad(tier, &d, &x, &dy),
            direct::forward(tier, &many, &l, &m, None),
            direct::input_grad(tier, &many, &n, &m, None),
            direct::weight_grad(tier, &many, &l, &n),
            winograd::forward(tier, &tiled, &a, &b, None),
            winograd::input_grad(tier, &tiled, &c, &b, None),
            winograd::weight_grad(tier, &tiled, &a, &c),
            winograd::forward(tier, &halved, &i, &j, None),
            winograd::input_grad(tier, &halved, &k, &j, None),
            winograd::weight_grad(tier, &halved, &i, &k),
            depthwise::forward(tier, &apart, &p, &q, None),
            depthwise::input_grad(tier, &apart, &r, &q, None),
        ];
        all.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let fused: Vec<_> = Tier::all().into_iter().filter(|tier| !matches!(tier, Tier::Portable)).map(bits).collect();
    // A machine with one such tier has nothing to compare.
    assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_infinite_input_reaches_the_depthwise_taps_that_meet_it_alone() {
    for (kernel, padding) in [([1, 3, 3], 0), ([1, 1, 2], 0), ([1, 3, 3], 1)] {
        let spec = ConvSpec::<3>::default().groups(2).padding([0, padding, padding]);
        let d = spec.dims("conv3d", &[1, 2, 1, 7, 21], &[&[2, 1][..], &kernel].concat()).unwrap();
        let [mut x, w, dy] = arguments(&d);
        for at in [0, 20, 21 * 6, 21 * 3 + 10] {
            x[at] = f32::INFINITY;
            let [_, _, dw] = naive(&d, &x, &w, &dy);
            for tier in Tier::all() {
                let finite = |dw: &[f32]| dw.iter().map(|dw| dw.is_finite()).collect::<Vec<_>>();
                assert_eq!(finite(&depthwise::weight_grad(tier, &d, &x, &dy)), finite(&dw), "{tier:?} {kernel:?} {at}");
            }
            x[at] = 1.;
        }
    }
}

#[test]
fn an_infinite_input_reaches_the_dots_that_meet_it_alone() {
    let spec = ConvSpec::<3>::default().padding([0, 1, 2]);
    let d = spec.dims("conv3d", &[2, 3, 1, 7, 21], &[6, 3, 1, 3, 4]).unwrap();
    let [mut x, _, dy] = arguments(&d);
    // The ends of lines: what a vector reads beyond its line begins with them.
    for at in [0, 20, 21, 21 * 6, 21 * 7 - 1, 21 * 3 + 10] {
        x[at] = f32::INFINITY;
        let [_, _, dw] = naive(&d, &x, &[0.; 216], &dy);
        for tier in Tier::all() {
            let finite = |dw: &[f32]| dw.iter().map(|dw| dw.is_finite()).collect::<Vec<_>>();
            assert_eq!(finite(&dots::weight_grad(tier, &d, &x, &dy)), finite(&dw), "{tier:?} {at}");
        }
        x[at] = 1.;
    }
}

/// An input, a weight and a cotangent.
fn arguments(d: &ConvDims) -> [Vec<f32>; 3] {
    let counts = [d.n * d.c_in * d.in_plane(), d.c_out * d.c_in_group() * d.taps(), d.n * d.c_out * d.out_plane()];
    [1, 2, 3].map(|seed| reals(counts[seed - 1], seed as u64))
}
