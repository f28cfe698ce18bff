//! Tensors of the same values in other orders of memory, and readings of any tensor.

use candle_core::{DType, Device, Tensor, Var};
use taper_ops::random::{counter, philox4x32, unit};

/// The same tensor as a view whose strides are all doubled and whose first element is not the storage's. An empty one
/// stays as it is: candle cannot read an empty view that starts beyond the end of its storage.
pub fn scattered(tensor: &Tensor) -> Tensor {
    if tensor.elem_count() == 0 {
        return tensor.clone();
    }
    let rank = tensor.rank();
    let wrong = (tensor.ones_like().unwrap() * 77.).unwrap().to_dtype(tensor.dtype()).unwrap();
    let pairs = Tensor::stack(&[&wrong, tensor], rank).unwrap();
    pairs.narrow(rank, 1, 1).unwrap().squeeze(rank).unwrap()
}

/// The same tensor as a view whose axes lie in reverse order in memory.
pub fn turned(tensor: &Tensor) -> Tensor {
    let axes: Vec<usize> = (0..tensor.rank()).rev().collect();
    tensor.permute(axes.as_slice()).unwrap().contiguous().unwrap().permute(axes.as_slice()).unwrap()
}

/// Small integers of both signs: their sums are exact in float32, so two right algorithms agree in every bit.
pub fn integers(shape: &[usize], seed: usize) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7919 + seed * 104_729 + i / 5) % 7) as f64 - 3.).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Numbers in (−2, 2), in float64.
pub fn reals(shape: &[usize], seed: u64) -> Tensor {
    let number = |i: usize| 4. * unit(philox4x32(seed, counter(i as u64, 0, 0))[0]) - 2.;
    Tensor::from_iter((0..shape.iter().product()).map(number), &Device::Cpu).unwrap().reshape(shape).unwrap()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// In bf16 and f16, `f` gives what it gives in float32 on the same numbers, each result rounded once: its values and the
/// gradients of their sum.
pub fn halves_round_once(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Tensor]) {
    let run = |inputs: &[Tensor], dtype: DType| -> Vec<Tensor> {
        let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = f(&tensors);
        assert_eq!(y.dtype(), dtype);
        let grads = y.sum_all().unwrap().backward().unwrap();
        std::iter::once(y).chain(vars.iter().map(|var| grads.get(var).unwrap().clone())).collect()
    };
    for dtype in [DType::BF16, DType::F16] {
        let inputs: Vec<Tensor> = inputs.iter().map(|x| x.to_dtype(dtype).unwrap()).collect();
        for (half, single) in run(&inputs, dtype).iter().zip(run(&inputs, DType::F32)) {
            assert_eq!(values(half), values(&single.to_dtype(dtype).unwrap()), "{dtype:?}");
        }
    }
}

/// The bits of `f()` on rayon pools of 1, 2, 3 and 8 threads, all equal.
pub fn same_on_any_threads(f: impl Fn() -> Vec<Tensor> + Sync) {
    let bits = |threads: usize| -> Vec<Vec<u64>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tensors = pool.install(&f);
        tensors.iter().map(|tensor| values(tensor).into_iter().map(f64::to_bits).collect()).collect()
    };
    let one = bits(1);
    for threads in [2, 3, 8] {
        assert!(bits(threads) == one, "{threads} threads give other bits than one");
    }
}
