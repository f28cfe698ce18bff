//! Pooling of every kind, forward and forward + backward, taper against candle where candle has the operator.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use taper_benches::Operator;
use taper_ops::{
    AvgPoolSpec, FractionalMaxPoolSpec, LpPoolSpec, MaxPoolSpec, MaxUnpoolSpec, Mode, adaptive_avg_pool1d,
    adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool2d, avg_pool1d, avg_pool2d, avg_pool3d,
    fractional_max_pool2d, fractional_max_pool3d, lp_pool1d, lp_pool2d, lp_pool3d, max_pool1d, max_pool2d,
    max_pool2d_with_indices, max_pool3d, max_unpool2d,
};

const SIGNAL: &[&[usize]] = &[&[64, 64, 1024]];
const MNIST: &[&[usize]] = &[&[64, 32, 28, 28]];
const RESNET: &[&[usize]] = &[&[16, 64, 112, 112]];
const HEAD: &[&[usize]] = &[&[64, 512, 7, 7]];
const VOLUME: &[&[usize]] = &[&[4, 16, 16, 56, 56]];

fn maximum(c: &mut Criterion) {
    let strided = MaxPoolSpec::new(3).stride(2).padding(1);
    Operator::new(c, "max_pool1d/2", SIGNAL).taper(|t| max_pool1d(&t[0], &MaxPoolSpec::new(2)));
    Operator::new(c, "max_pool2d/2", MNIST)
        .taper(|t| max_pool2d(&t[0], &MaxPoolSpec::new(2)))
        .candle(|t| t[0].max_pool2d(2));
    Operator::new(c, "max_pool2d/3 s2 p1", RESNET).taper(|t| max_pool2d(&t[0], &strided));
    Operator::new(c, "max_pool3d/2", VOLUME).taper(|t| max_pool3d(&t[0], &MaxPoolSpec::new(2)));
    let draw = Mode::train(1, 0, 0).draw().unwrap();
    let fractional = FractionalMaxPoolSpec::with_ratio(2, [0.7, 0.7]);
    Operator::new(c, "fractional_max_pool2d/2 x0.7", MNIST).taper(|t| fractional_max_pool2d(&t[0], &fractional, draw));
    let fractional = FractionalMaxPoolSpec::with_ratio(2, [0.7, 0.7, 0.7]);
    Operator::new(c, "fractional_max_pool3d/2 x0.7", VOLUME).taper(|t| fractional_max_pool3d(&t[0], &fractional, draw));
    let x = Tensor::randn(0f32, 1., MNIST[0], &Device::Cpu).unwrap();
    let (_, places) = max_pool2d_with_indices(&x, &MaxPoolSpec::new(2)).unwrap();
    Operator::new(c, "max_unpool2d/2", &[&[64, 32, 14, 14]])
        .taper(|t| max_unpool2d(&t[0], &places, &MaxUnpoolSpec::new(2)));
}

fn average(c: &mut Criterion) {
    let same = AvgPoolSpec::new(3).stride(1).padding(1);
    Operator::new(c, "avg_pool1d/2", SIGNAL).taper(|t| avg_pool1d(&t[0], &AvgPoolSpec::new(2)));
    Operator::new(c, "avg_pool2d/2", MNIST)
        .taper(|t| avg_pool2d(&t[0], &AvgPoolSpec::new(2)))
        .candle(|t| t[0].avg_pool2d(2));
    Operator::new(c, "avg_pool2d/3 s1 p1", MNIST).taper(|t| avg_pool2d(&t[0], &same));
    Operator::new(c, "avg_pool3d/2", VOLUME).taper(|t| avg_pool3d(&t[0], &AvgPoolSpec::new(2)));
}

fn adaptive(c: &mut Criterion) {
    Operator::new(c, "adaptive_avg_pool1d to 1", SIGNAL).taper(|t| adaptive_avg_pool1d(&t[0], 1));
    Operator::new(c, "adaptive_avg_pool2d to 1", HEAD)
        .taper(|t| adaptive_avg_pool2d(&t[0], 1))
        .candle(|t| t[0].mean_keepdim((2, 3)));
    Operator::new(c, "adaptive_avg_pool2d to 5", MNIST).taper(|t| adaptive_avg_pool2d(&t[0], 5));
    Operator::new(c, "adaptive_avg_pool3d to 1", VOLUME).taper(|t| adaptive_avg_pool3d(&t[0], 1));
    Operator::new(c, "adaptive_max_pool2d to 1", HEAD).taper(|t| adaptive_max_pool2d(&t[0], 1));
}

fn lp(c: &mut Criterion) {
    Operator::new(c, "lp_pool1d/2 p2", SIGNAL).taper(|t| lp_pool1d(&t[0], &LpPoolSpec::new(2., 2)));
    Operator::new(c, "lp_pool2d/2 p2", MNIST).taper(|t| lp_pool2d(&t[0], &LpPoolSpec::new(2., 2)));
    Operator::new(c, "lp_pool3d/2 p2", VOLUME).taper(|t| lp_pool3d(&t[0], &LpPoolSpec::new(2., 2)));
}

criterion_group!(benches, maximum, average, adaptive, lp);
criterion_main!(benches);
