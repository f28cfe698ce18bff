//! burn's side of `cargo run --release -p taper-benches -- compare`: times one case in this process.
//!
//!     cargo build --release --manifest-path benches/peers/burn/Cargo.toml
//!
//! Prints one line of JSON: milliseconds, medians, and the process's peak memory in MiB. The cases are those of compare/cases.rs
//! and compare/nets.rs.

mod nets;

use burn::tensor::module::{avg_pool2d, batch_norm_train, conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// n, c_in, extent, c_out, kernel, stride, padding, groups: the layers of benches/lib.rs.
const LAYERS: [(&str, [usize; 8]); 8] = [
    ("mnist1", [64, 1, 28, 32, 3, 1, 0, 1]),
    ("mnist2", [64, 32, 26, 64, 3, 1, 0, 1]),
    ("res64", [16, 64, 56, 64, 3, 1, 1, 1]),
    ("res128s2", [16, 128, 56, 128, 3, 2, 1, 1]),
    ("res256", [16, 256, 14, 256, 3, 1, 1, 1]),
    ("pointwise", [16, 256, 14, 1024, 1, 1, 0, 1]),
    ("stem", [4, 3, 224, 64, 7, 2, 3, 1]),
    ("depthwise", [16, 64, 56, 64, 3, 1, 1, 64]),
];

fn main() {
    let case = std::env::args().nth(1).unwrap_or_default();
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let (forward, whole) = match layer(&case, &plain, &device).or_else(|| operator(&case, &plain, &device)) {
        Some((forward, whole)) => (Some(forward), Some(whole)),
        None => (None, nets::step(&case, &device)),
    };
    let Some(whole) = whole else {
        eprintln!("no case {case}");
        std::process::exit(1);
    };
    println!("{}", serde_json::json!({ "forward": forward, "whole": whole, "peak_mib": peak_mib() }));
}

type Times = Option<(f64, f64)>;

fn layer(case: &str, plain: &Device, device: &Device) -> Times {
    let (_, [n, c_in, extent, c_out, kernel, stride, padding, groups]) = *LAYERS.iter().find(|(name, _)| *name == case)?;
    let shapes = [[n, c_in, extent, extent], [c_out, c_in / groups, kernel, kernel]];
    let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], groups);
    Some(both(&shapes, plain, device, |x| conv2d(x[0].clone(), x[1].clone(), None, options.clone())))
}

fn operator(case: &str, plain: &Device, device: &Device) -> Times {
    let map = [[64, 32, 28, 28]];
    Some(match case {
        "conv_transpose" => both(&[[16, 64, 28, 28], [64, 32, 4, 4]], plain, device, |x| {
            let options = ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1);
            conv_transpose2d(x[0].clone(), x[1].clone(), None, options)
        }),
        "max_pool 2" => both(&map, plain, device, |x| max_pool2d(x[0].clone(), MaxPoolOptions::new([2, 2]))),
        "max_pool 3 s2 p1" => both(&[[16, 64, 112, 112]], plain, device, |x| {
            let options = MaxPoolOptions { stride: [2, 2], padding: [(1, 1); 2], ..MaxPoolOptions::new([3, 3]) };
            max_pool2d(x[0].clone(), options)
        }),
        "avg_pool 2" => both(&map, plain, device, |x| avg_pool2d(x[0].clone(), AvgPoolOptions::new([2, 2]))),
        "dropout" => both(&map, plain, device, |x| {
            // burn::nn::Dropout's formula, which leaves out of training what does not train.
            let keep = Distribution::Bernoulli(0.5);
            x[0].clone() * x[0].random_like(keep).detach() * 2.
        }),
        "batch_norm" => both(&[[32, 64, 56, 56]], plain, device, |x| {
            let (ones, zeros) = (Tensor::ones([64], &x[0].device()), Tensor::zeros([64], &x[0].device()));
            batch_norm_train(x[0].clone(), ones, zeros, 1e-5).output
        }),
        _ => return None,
    })
}

/// The median time of `f` without gradients, and of `f` and the gradients of all inputs.
fn both(
    shapes: &[[usize; 4]],
    plain: &Device,
    device: &Device,
    f: impl Fn(&[Tensor<4>]) -> Tensor<4>,
) -> (f64, f64) {
    let random = |device: &Device| -> Vec<Tensor<4>> {
        shapes.iter().map(|shape| Tensor::random(*shape, Distribution::Normal(0., 1.), device)).collect()
    };
    let detached = random(plain);
    let tracked: Vec<Tensor<4>> = random(device).into_iter().map(Tensor::require_grad).collect();
    let forward = median_ms(|| drop(f(&detached)));
    let whole = median_ms(|| {
        let grads = f(&tracked).backward();
        tracked.iter().for_each(|x| assert!(x.grad(&grads).is_some(), "no gradient"));
    });
    (forward, whole)
}

/// The median time of `f` in milliseconds, after a warm-up.
fn median_ms(mut f: impl FnMut()) -> f64 {
    f();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || begin.elapsed() < Duration::from_millis(700) {
        let start = Instant::now();
        f();
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The peak of the resident memory, where the system tells it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    peak.unwrap_or_default() / 1024.
}
