//! conv2d forward and forward + backward (both gradients), taper against candle.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::Tensor;
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use taper_benches::{CONV_LAYERS, ConvLayer};
use taper_ops::{ConvSpec, conv2d};

fn taper(layer: &ConvLayer, x: &Tensor, w: &Tensor) -> Tensor {
    conv2d(x, w, None, &ConvSpec::default().stride(layer.stride).padding(layer.padding).groups(layer.groups)).unwrap()
}

fn candle(layer: &ConvLayer, x: &Tensor, w: &Tensor) -> Tensor {
    x.conv2d(w, layer.padding, layer.stride, 1, layer.groups).unwrap()
}

fn conv(criterion: &mut Criterion) {
    for layer in &CONV_LAYERS {
        let mut group = criterion.benchmark_group(format!("conv2d/{}", layer.name));
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        let (x, w) = layer.tensors().unwrap();
        for (name, f) in [("taper", taper as fn(&ConvLayer, &Tensor, &Tensor) -> Tensor), ("candle", candle)] {
            group.bench_function(format!("{name}/forward"), |bencher| {
                let (x, w) = (x.as_detached_tensor(), w.as_detached_tensor());
                bencher.iter(|| f(layer, &x, &w));
            });
            group.bench_function(format!("{name}/forward+backward"), |bencher| {
                bencher.iter(|| f(layer, &x, &w).backward().unwrap());
            });
        }
    }
}

criterion_group!(benches, conv);
criterion_main!(benches);
