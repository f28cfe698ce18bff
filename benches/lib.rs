//! What the benchmark groups share: layers to measure, and an allocator that both sides use.
//!
//! candle allocates a tensor an operator, and fresh pages cost more than the work on them: every group runs under
//! mimalloc, taper and candle alike, as a user's program should.

use candle_core::{Device, Result, Tensor, Var};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
