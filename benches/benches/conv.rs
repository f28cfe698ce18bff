//! Convolution and transposed convolution, forward and forward + backward (both gradients), taper against candle.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::Tensor;
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use taper_benches::{CONV_LAYERS, ConvLayer, Operator};
use taper_ops::{
    ConvSpec, ConvTransposeSpec, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d, conv2d, conv3d,
};

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

fn other_ranks(c: &mut Criterion) {
    let (one, three) = (ConvSpec::default().padding(2), ConvSpec::default().padding(1));
    Operator::new(c, "conv1d 64 to 128, 5 p2", &[&[16, 64, 1024], &[128, 64, 5]])
        .taper(|t| conv1d(&t[0], &t[1], None, &one))
        .candle(|t| t[0].conv1d(&t[1], 2, 1, 1, 1));
    Operator::new(c, "conv3d 16 to 32, 3 p1", &[&[4, 16, 16, 28, 28], &[32, 16, 3, 3, 3]])
        .taper(|t| conv3d(&t[0], &t[1], None, &three));
}

fn transposed(c: &mut Criterion) {
    let (one, two) =
        (ConvTransposeSpec::default().stride(2).padding(1), ConvTransposeSpec::default().stride(2).padding(1));
    let three = ConvTransposeSpec::default().stride(2);
    Operator::new(c, "conv_transpose1d 64 to 32, 4 s2 p1", &[&[16, 64, 512], &[64, 32, 4]])
        .taper(|t| conv_transpose1d(&t[0], &t[1], None, &one))
        .candle_forward(|t| t[0].conv_transpose1d(&t[1], 1, 0, 2, 1, 1));
    Operator::new(c, "conv_transpose2d 64 to 32, 4 s2 p1", &[&[16, 64, 28, 28], &[64, 32, 4, 4]])
        .taper(|t| conv_transpose2d(&t[0], &t[1], None, &two))
        .candle(|t| t[0].conv_transpose2d(&t[1], 1, 0, 2, 1));
    Operator::new(c, "conv_transpose3d 32 to 16, 2 s2", &[&[4, 32, 8, 14, 14], &[32, 16, 2, 2, 2]])
        .taper(|t| conv_transpose3d(&t[0], &t[1], None, &three));
}

criterion_group!(benches, conv, other_ranks, transposed);
criterion_main!(benches);
