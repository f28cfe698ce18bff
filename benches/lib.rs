//! What the benchmark groups share: how an operator is timed, layers to measure, and an allocator that both sides use.
//!
//! candle allocates a tensor an operator, and fresh pages cost more than the work on them: every group runs under
//! mimalloc, taper and candle alike, as a user's program should.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use mimalloc::MiMalloc;
use std::time::Duration;
use taper_ops::backward_with;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A group of benchmarks: one operator on random inputs, by taper and, where candle has it, by candle.
#[allow(missing_debug_implementations, reason = "criterion's group has none")]
pub struct Operator<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    inputs: Vec<Var>,
}

impl<'a> Operator<'a> {
    /// The operator `name` on inputs of these shapes, the first of which the group's name tells too.
    pub fn new(criterion: &'a mut Criterion, name: &str, shapes: &[&[usize]]) -> Self {
        let extents: Vec<String> = shapes[0].iter().map(usize::to_string).collect();
        let mut group = criterion.benchmark_group(format!("{name} on {}", extents.join("x")));
        group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        Self { group, inputs: shapes.iter().map(|shape| random(shape)).collect() }
    }

    /// Times taper's forward pass, and forward and backward with the gradients of all inputs.
    pub fn taper(self, f: impl Fn(&[Tensor]) -> taper_ops::Result<Tensor>) -> Self {
        let ones =
            f(&self.inputs.iter().map(|x| x.as_detached_tensor()).collect::<Vec<_>>()).unwrap().ones_like().unwrap();
        self.both("taper", |x| Ok(f(x)?), |y| backward_with(y, &ones).unwrap())
    }

    /// Times candle's passes likewise.
    pub fn candle(self, f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Self {
        self.both("candle", f, |y| y.backward().unwrap())
    }

    /// Times candle's forward pass alone, where it has no backward pass or one that drops the gradient.
    pub fn candle_forward(mut self, f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Self {
        self.forward("candle", f);
        self
    }

    fn both(
        mut self,
        library: &str,
        f: impl Fn(&[Tensor]) -> Result<Tensor>,
        backward: impl Fn(&Tensor) -> GradStore,
    ) -> Self {
        self.forward(library, &f);
        let inputs: Vec<Tensor> = self.inputs.iter().map(|x| x.as_tensor().clone()).collect();
        self.group.bench_function(format!("{library}/forward+backward"), |bencher| {
            bencher.iter(|| backward(&f(&inputs).unwrap()));
        });
        self
    }

    fn forward(&mut self, library: &str, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let inputs: Vec<Tensor> = self.inputs.iter().map(|x| x.as_detached_tensor()).collect();
        self.group.bench_function(format!("{library}/forward"), |bencher| bencher.iter(|| f(&inputs).unwrap()));
    }
}

fn random(shape: &[usize]) -> Var {
    Var::from_tensor(&Tensor::randn(0f32, 1., shape, &Device::Cpu).unwrap()).unwrap()
}

/// A convolution layer by its usual numbers, square in every respect.
#[derive(Debug, Clone, Copy)]
pub struct ConvLayer {
    /// What the tables call it.
    pub name: &'static str,
    /// Samples in a batch.
    pub n: usize,
    /// Input channels.
    pub c_in: usize,
    /// Height and width of the input.
    pub extent: usize,
    /// Output channels.
    pub c_out: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride on both axes.
    pub stride: usize,
    /// Padding on all sides.
    pub padding: usize,
    /// Groups of channels.
    pub groups: usize,
}

impl ConvLayer {
    /// Random input and weight.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn tensors(&self) -> Result<(Var, Var)> {
        let random =
            |shape: (usize, usize, usize, usize)| Var::from_tensor(&Tensor::randn(0f32, 1., shape, &Device::Cpu)?);
        Ok((
            random((self.n, self.c_in, self.extent, self.extent))?,
            random((self.c_out, self.c_in / self.groups, self.kernel, self.kernel))?,
        ))
    }
}

const fn layer(name: &'static str, n: usize, shape: [usize; 6]) -> ConvLayer {
    let [c_in, extent, c_out, kernel, stride, padding] = shape;
    ConvLayer { name, n, c_in, extent, c_out, kernel, stride, padding, groups: 1 }
}

/// Dense layers of an MNIST net and of ResNets, and a depthwise one of a MobileNet.
pub const CONV_LAYERS: [ConvLayer; 8] = [
    layer("mnist1", 64, [1, 28, 32, 3, 1, 0]),
    layer("mnist2", 64, [32, 26, 64, 3, 1, 0]),
    layer("res64", 16, [64, 56, 64, 3, 1, 1]),
    layer("res128s2", 16, [128, 56, 128, 3, 2, 1]),
    layer("res256", 16, [256, 14, 256, 3, 1, 1]),
    layer("pointwise", 16, [256, 14, 1024, 1, 1, 0]),
    layer("stem", 4, [3, 224, 64, 7, 2, 3]),
    ConvLayer { groups: 64, ..layer("depthwise", 16, [64, 56, 64, 3, 1, 1]) },
];
