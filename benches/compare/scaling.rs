//! What a multiply-add of a 3×3 convolution costs as batch, extent and channels grow: it should stay flat.

use crate::Failure;
use crate::cases::median_ms;
use candle_core::{Device, Tensor};
use rayon::ThreadPoolBuilder;
use taper_ops::{ConvSpec, conv2d, conv2d_input_grad, conv2d_weight_grad};

/// A 3×3 convolution of padding 1 that keeps the number of channels.
#[derive(Debug, Clone, Copy)]
struct Layer {
    batch: usize,
    channels: usize,
    extent: usize,
}

impl Layer {
    fn multiply_adds(self) -> f64 {
        (self.batch * self.channels * self.channels * self.extent * self.extent * 9) as f64
    }
}

/// Prints picoseconds a multiply-add, of the forward pass and of both gradients, for every layer and number of threads.
pub(crate) fn scaling(threads: &[usize]) -> Result<(), Failure> {
    let base = Layer { batch: 16, channels: 64, extent: 28 };
    let batches = [1, 2, 4, 8, 16, 32, 64, 128, 256].map(|batch| Layer { batch, ..base });
    let extents = [8, 14, 28, 56, 112, 224].map(|extent| Layer { extent, batch: 4, ..base });
    let channels = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map(|channels| Layer { channels, ..base });
    println!("3×3 convolution, padding 1, float32: picoseconds a multiply-add, forward / both gradients");
    print!("{:>6}{:>10}{:>8}", "batch", "channels", "extent");
    threads.iter().for_each(|count| print!("{:>22}", format!("{count} threads")));
    println!();
    for layer in batches.into_iter().chain(extents).chain(channels) {
        print!("{:>6}{:>10}{:>8}", layer.batch, layer.channels, layer.extent);
        for &count in threads {
            let pool = ThreadPoolBuilder::new().num_threads(count).build()?;
            let [forward, backward] = pool.install(|| costs(layer))?;
            print!("{:>22}", format!("{forward:.1} / {backward:.1}"));
        }
        println!();
    }
    Ok(())
}

fn costs(layer: Layer) -> Result<[f64; 2], Failure> {
    let Layer { batch, channels, extent } = layer;
    let x = Tensor::randn(0f32, 1., (batch, channels, extent, extent), &Device::Cpu)?;
    let weight = Tensor::randn(0f32, 1., (channels, channels, 3, 3), &Device::Cpu)?;
    let spec = ConvSpec::<2>::default().padding(1);
    let forward = median_ms(|| conv2d(&x, &weight, None, &spec).map(drop))?;
    // Any tensor of the output's shape, which is the input's, serves as its gradient.
    let backward = median_ms(|| {
        conv2d_input_grad(&x, &weight, [extent, extent], &spec)?;
        conv2d_weight_grad(&x, &x, [3, 3], &spec).map(drop)
    })?;
    Ok([forward, backward].map(|ms| ms * 1e9 / layer.multiply_adds()))
}
