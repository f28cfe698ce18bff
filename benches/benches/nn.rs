//! Pooling, dropout, activation, normalisation, linear layer and loss: forward and forward + backward, taper against candle where candle
//! has the operator.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::{Device, Result, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
// For its allocator.
use taper_benches as _;
use taper_ops::{
    AvgPoolSpec, CrossEntropySpec, MaxPoolSpec, Mode, avg_pool2d, batch_norm, cross_entropy, dropout, gelu, linear,
    max_pool2d, relu,
};

/// Times `f` on `x` alone, and with the gradient of `x`.
fn both(criterion: &mut Criterion, operator: &str, library: &str, x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) {
    let mut group = criterion.benchmark_group(operator);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let detached = x.as_detached_tensor();
    group.bench_function(format!("{library}/forward"), |bencher| bencher.iter(|| f(&detached).unwrap()));
    group.bench_function(format!("{library}/forward+backward"), |bencher| {
        bencher.iter(|| f(x).unwrap().backward().unwrap());
    });
}

fn random(shape: &[usize]) -> Var {
    Var::from_tensor(&Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap()).unwrap()
}

fn pooling(criterion: &mut Criterion) {
    let (mnist, resnet) = (random(&[64, 32, 28, 28]), random(&[16, 64, 112, 112]));
    both(criterion, "max_pool2d/2 on 64x32x28x28", "taper", &mnist, |x| Ok(max_pool2d(x, &MaxPoolSpec::new(2))?));
    both(criterion, "max_pool2d/2 on 64x32x28x28", "candle", &mnist, |x| x.max_pool2d(2));
    let strided = MaxPoolSpec::new(3).stride(2).padding(1);
    both(criterion, "max_pool2d/3 s2 p1 on 16x64x112x112", "taper", &resnet, |x| Ok(max_pool2d(x, &strided)?));
    both(criterion, "avg_pool2d/2 on 64x32x28x28", "taper", &mnist, |x| Ok(avg_pool2d(x, &AvgPoolSpec::new(2))?));
    both(criterion, "avg_pool2d/2 on 64x32x28x28", "candle", &mnist, |x| x.avg_pool2d(2));
}

fn elementwise(criterion: &mut Criterion) {
    let x = random(&[64, 32, 28, 28]);
    let draw = Mode::train(1, 0, 0).draw().unwrap();
    both(criterion, "dropout on 64x32x28x28", "taper", &x, |x| Ok(dropout(x, 0.5, draw)?));
    both(criterion, "dropout on 64x32x28x28", "candle", &x, |x| candle_nn::ops::dropout(x, 0.5));
    both(criterion, "relu on 64x32x28x28", "taper", &x, |x| Ok(relu(x)?));
    both(criterion, "relu on 64x32x28x28", "candle", &x, Tensor::relu);
    both(criterion, "gelu on 64x32x28x28", "taper", &x, |x| Ok(gelu(x)?));
    both(criterion, "gelu on 64x32x28x28", "candle", &x, Tensor::gelu_erf);
}

fn heads(criterion: &mut Criterion) {
    let (x, w) = (random(&[64, 1568]), random(&[128, 1568]));
    both(criterion, "linear 64x1568 to 128", "taper", &x, |x| Ok(linear(x, &w, None)?));
    both(criterion, "linear 64x1568 to 128", "candle", &x, |x| x.matmul(&w.t()?));
    let logits = random(&[256, 1000]);
    let targets = Tensor::from_iter((0..256u32).map(|i| i * 37 % 1000), &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default();
    both(criterion, "cross_entropy 256x1000", "taper", &logits, |x| Ok(cross_entropy(x, &targets, &spec)?));
    both(criterion, "cross_entropy 256x1000", "candle", &logits, |x| candle_nn::loss::cross_entropy(x, &targets));
}

fn normalisation(criterion: &mut Criterion) {
    let (x, weight, bias) = (random(&[32, 64, 56, 56]), random(&[64]), random(&[64]));
    both(criterion, "batch_norm on 32x64x56x56", "taper", &x, |x| Ok(batch_norm(x, Some(&weight), Some(&bias), 1e-5)?));
}

criterion_group!(benches, pooling, elementwise, normalisation, heads);
criterion_main!(benches);
