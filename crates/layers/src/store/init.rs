//! Initial values: a pure function of (seed, name, element), so that the order of construction and the number of
//! threads change nothing.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use taper_ops::random::{philox4x32, unit};

/// The initial value of the tensor `name`.
pub(super) fn initial(
    init: Init,
    seed: u64,
    name: &str,
    shape: &Shape,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let words = Words { seed, stream: fnv1a(name.as_bytes()) };
    let count = shape.elem_count();
    let values = match init {
        Init::Const(value) => vec![value; count],
        Init::Uniform { lo, up } => words.uniform(lo, up, count),
        Init::Randn { mean, stdev } => words.normal(mean, stdev, count),
        Init::Kaiming { dist, fan, non_linearity } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape).max(1) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => words.normal(0.0, stdev, count),
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * stdev;
                    words.uniform(-bound, bound, count)
                }
            }
        }
    };
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// The random words of one tensor: Philox under the seed, its counter (block, stream).
struct Words {
    seed: u64,
    stream: u64,
}

impl Words {
    fn block(&self, block: u64) -> [u32; 4] {
        let counter = [block as u32, (block >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        philox4x32(self.seed, counter)
    }

    /// `count` values, four a block.
    fn fill(&self, count: usize, four: impl Fn([u32; 4]) -> [f64; 4]) -> Vec<f64> {
        (0..count.div_ceil(4) as u64).flat_map(|block| four(self.block(block))).take(count).collect()
    }

    fn uniform(&self, lo: f64, up: f64, count: usize) -> Vec<f64> {
        self.fill(count, |words| words.map(|word| lo + (up - lo) * unit(word)))
    }

    /// Box and Muller's pairs. Source: "A note on the generation of random normal deviates", Ann. Math. Stat. 29, 1958.
    fn normal(&self, mean: f64, stdev: f64, count: usize) -> Vec<f64> {
        let pair = |radius: u32, angle: u32| {
            // 1 − u lies in (0, 1], so the logarithm is finite.
            let radius = (-2.0 * (1.0 - unit(radius)).ln()).sqrt() * stdev;
            let (sin, cos) = (std::f64::consts::TAU * unit(angle)).sin_cos();
            [mean + radius * cos, mean + radius * sin]
        };
        self.fill(count, |[a, b, c, d]| {
            let ([x, y], [z, w]) = (pair(a, b), pair(c, d));
            [x, y, z, w]
        })
    }
}

/// FNV-1a, 64 bits: the same on every platform and in every release, as a standard library's hasher need not be.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn fnv1a_gives_its_authors_known_answers() {
        for (text, hash) in
            [("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8)]
        {
            assert_eq!(super::fnv1a(text.as_bytes()), hash, "{text}");
        }
    }
}
