//! What each tier takes for the layers of `benches`: `cargo test --release -p taper-ops --lib tier_times -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, which prints what it finds")]

use super::{depthwise, direct, dots, winograd};
use crate::conv::spec::{ConvDims, ConvSpec};
use crate::simd::Tier;
use std::hint::black_box;
use std::time::Instant;

/// Turns of all tiers at a pass.
const ROUNDS: usize = 15;

type Arguments<'a> = (&'a ConvDims, &'a [f32], &'a [f32], &'a [f32]);
type Layer = (&'static str, [usize; 8], &'static [(&'static str, Pass)]);
type Pass = fn(Tier, Arguments<'_>) -> Vec<f32>;

/// Each layer's name, n, c_in, extent, c_out, kernel, stride, padding and groups, and the passes that have a kernel by tier.
const LAYERS: [Layer; 7] = [
    (
        "mnist1",
        [64, 1, 28, 32, 3, 1, 0, 1],
        &[("weight gradient", |tier, (d, x, _, dy)| dots::weight_grad(tier, d, x, dy))],
    ),
    ("mnist2", [64, 32, 26, 64, 3, 1, 0, 1], WINOGRAD),
    ("res64", [16, 64, 56, 64, 3, 1, 1, 1], WINOGRAD),
    ("res128s2", [16, 128, 56, 128, 3, 2, 1, 1], WINOGRAD),
    ("res256", [16, 256, 14, 256, 3, 1, 1, 1], WINOGRAD),
    (
        "stem",
        [4, 3, 224, 64, 7, 2, 3, 1],
        &[
            ("forward", |tier, (d, x, w, _)| direct::forward(tier, d, x, w, None)),
            ("input gradient", |tier, (d, _, w, dy)| direct::input_grad(tier, d, dy, w, None)),
            ("weight gradient", |tier, (d, x, _, dy)| dots::weight_grad(tier, d, x, dy)),
        ],
    ),
    (
        "depthwise",
        [16, 64, 56, 64, 3, 1, 1, 64],
        &[
            ("forward", |tier, (d, x, w, _)| depthwise::forward(tier, d, x, w, None)),
            ("input gradient", |tier, (d, _, w, dy)| depthwise::input_grad(tier, d, dy, w, None)),
            ("weight gradient", |tier, (d, x, _, dy)| depthwise::weight_grad(tier, d, x, dy)),
        ],
    ),
];

const WINOGRAD: &[(&str, Pass)] = &[
    ("forward", |tier, (d, x, w, _)| winograd::forward(tier, d, x, w, None)),
    ("input gradient", |tier, (d, _, w, dy)| winograd::input_grad(tier, d, dy, w, None)),
    ("weight gradient", |tier, (d, x, _, dy)| winograd::weight_grad(tier, d, x, dy)),
];

#[test]
#[ignore = "measures"]
fn tier_times() {
    // Fresh pages would cost more than some passes.
    crate::memory::keep_pages();
    let tiers = Tier::all();
    println!(
        "milliseconds, medians of {ROUNDS} alternating turns: {}",
        tiers.iter().map(|tier| tier.name()).collect::<Vec<_>>().join(", ")
    );
    let mut sums = vec![0.; tiers.len()];
    for (name, [n, c_in, extent, c_out, kernel, stride, padding, groups], passes) in LAYERS {
        let spec = ConvSpec::<2>::default().stride(stride).padding(padding).groups(groups);
        let d = spec.dims("conv2d", &[n, c_in, extent, extent], &[c_out, c_in / groups, kernel, kernel]).unwrap();
        let values = |count: usize| -> Vec<f32> { (0..count).map(|i| (i * 7919 % 1000) as f32 / 500. - 1.).collect() };
        let x = values(n * c_in * d.in_plane());
        let (w, dy) = (values(c_out * d.c_in_group() * d.taps()), values(n * c_out * d.out_plane()));
        for (what, pass) in passes {
            let mut times = vec![Vec::new(); tiers.len()];
            for _ in 0..ROUNDS {
                for (tier, times) in tiers.iter().zip(&mut times) {
                    let start = Instant::now();
                    black_box(pass(*tier, (&d, &x, &w, &dy)));
                    times.push(1e3 * start.elapsed().as_secs_f64());
                }
            }
            let medians: Vec<f64> = times.into_iter().map(median).collect();
            sums.iter_mut().zip(&medians).for_each(|(sum, median)| *sum += median);
            println!("{name:<10} {what:<16} {}", in_words(&medians));
        }
    }
    println!("{:<10} {:<16} {}", "all", "", in_words(&sums));
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn in_words(times: &[f64]) -> String {
    times.iter().map(|time| format!("{time:>9.2}")).collect()
}
