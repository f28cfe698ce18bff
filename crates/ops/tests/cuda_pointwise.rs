//! The CUDA kernels of the affine map, the activations and what is fused with them against the CPU, over random shapes,
//! types, layouts, block sizes and orders of threads; the kernels run on the CPU.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::emulated::{FLOATS, Kernels, agree, agree_twice, emulators, same_bits, same_bits_twice, same_values};
use support::layouts::{integers, reals};
use support::pooling::{bits, filled, layouts, pattern};
use taper_cuda_emulator::Emulator;
use taper_ops::{
    ConvSpec, MaxPoolSpec, Result, add_relu, batch_norm, batch_norm_relu, celu, conv_relu, conv2d, elu, gelu,
    gelu_tanh, glu, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, linear, linear_relu, logsigmoid,
    max_pool2d, mish, prelu, relu, relu6, selu, sigmoid, silu, softplus, softshrink, softsign, tanh, tanhshrink,
    threshold,
};

type Activation = fn(&Tensor) -> Result<Tensor>;

const ACTIVATIONS: [Activation; 22] = [
    relu,
    relu6,
    |x| leaky_relu(x, 0.1),
    |x| threshold(x, 0.4, -1.5),
    |x| hardtanh(x, -1.25, 0.5),
    hardsigmoid,
    hardswish,
    |x| hardshrink(x, 0.6),
    |x| softshrink(x, 0.7),
    |x| elu(x, 1.3),
    selu,
    |x| celu(x, 0.8),
    sigmoid,
    tanh,
    tanhshrink,
    softsign,
    |x| softplus(x, 0.7, 2.),
    logsigmoid,
    silu,
    mish,
    gelu_tanh,
    gelu,
];

/// Both tails, the kinks of the functions above, and what is no number.
const NUMBERS: [f64; 24] = [
    -100.,
    -20.,
    -3.,
    -1.25,
    -0.7,
    -0.6,
    -0.125,
    -0.,
    0.,
    1e-3,
    0.4,
    0.5,
    0.6,
    0.625,
    0.7,
    2.,
    2.875,
    3.,
    6.,
    20.,
    88.,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

fn tensor(shape: &[usize], seed: usize, dtype: DType) -> Tensor {
    integers(shape, seed).to_dtype(dtype).unwrap()
}

/// The bits of the value and the gradients of `f` by kernels.
fn by_kernels(kernels: Kernels, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Vec<u64>> {
    let vars: Vec<_> = inputs.iter().map(|input| Var::from_tensor(&kernels.place(input)).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    kernels.run(|| {
        let y = f(&tensors).unwrap();
        let dy = integers(y.dims(), 4).to_device(y.device()).unwrap().to_dtype(y.dtype()).unwrap();
        let grads = (&y * dy).unwrap().sum_all().unwrap().backward().unwrap();
        [&y].into_iter().chain(vars.iter().map(|var| grads.get(var).unwrap())).map(bits).collect()
    })
}

proptest! {
    #![proptest_config(config(96))]

    /// Sums of small integers are exact, in any order. Extents reach beyond one tile, and may be 0.
    #[test]
    fn affine_map(
        leading in prop::collection::vec(0..6usize, 0..3),
        (rows, i, o) in (0..70usize, 0..40usize, 1..70usize),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let leading = if leading.is_empty() { vec![rows] } else { leading };
        let x = layout.apply(&tensor(&[&leading[..], &[i]].concat(), 1, dtype)).unwrap();
        let (w, b) = (layout.apply(&tensor(&[o, i], 2, dtype)).unwrap(), tensor(&[o], 3, dtype));
        same_bits(emulator, &[x.clone(), w.clone()], &|t| linear(&t[0], &t[1], None));
        same_bits(emulator, &[x.clone(), w.clone(), b.clone()], &|t| linear(&t[0], &t[1], Some(&t[2])));
        same_bits_twice(emulator, &[x, w, b], &|t| linear(&t[0], &t[1], Some(&t[2])));
    }

    /// In float32 the exponential and its kin are the CPU's to the bit; in float64, and for logarithms, they are the system's
    /// in both, but on a device. The error function of float64 alone is not.
    #[test]
    fn activations(
        which in 0..ACTIVATIONS.len(),
        pattern in pattern(&NUMBERS),
        shape in prop::array::uniform2(1..9usize),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let f = ACTIVATIONS[which];
        for x in [filled(&pattern, &shape), (reals(&shape, which as u64) * 3.).unwrap()] {
            let x = layout.apply(&x.to_dtype(dtype).unwrap()).unwrap();
            if which + 1 == ACTIVATIONS.len() && dtype == DType::F64 {
                same_values(emulator, &[x], 1e-14, &|x| f(&x[0]));
            } else {
                agree(emulator, std::slice::from_ref(&x), &|x| f(&x[0]));
                agree_twice(emulator, &[x], &|x| f(&x[0]));
            }
        }
    }

    #[test]
    fn gated_linear_unit(
        pattern in pattern(&NUMBERS),
        (a, b, c) in (1..4usize, 1..5usize, 1..4usize),
        axis in 0..3usize,
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let mut shape = [a, b, c];
        shape[axis] *= 2;
        let x = layout.apply(&filled(&pattern, &shape).to_dtype(dtype).unwrap()).unwrap();
        agree(emulator, std::slice::from_ref(&x), &|x| glu(&x[0], axis));
        agree_twice(emulator, &[x], &|x| glu(&x[0], axis));
    }

    #[test]
    fn parametric_rectifier(
        (n, c, h, w) in (0..4usize, 1..5usize, 1..5usize, 1..6usize),
        shared in any::<bool>(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let x = layout.apply(&tensor(&[n, c, h, w], 1, dtype)).unwrap();
        let inputs = [x, tensor(&[if shared { 1 } else { c }], 2, dtype)];
        same_bits(emulator, &inputs, &|t| prelu(&t[0], &t[1]));
        same_bits_twice(emulator, &inputs, &|t| prelu(&t[0], &t[1]));
    }

    /// Windows with equal elements, with nothing positive, and with what is no number.
    #[test]
    fn fused_with_relu(
        pattern in pattern(&[-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY]),
        (n, from, to) in (1..3usize, 1..4usize, 1..5usize),
        (h, w, kernel) in (3..10usize, 3..10usize, [1..4usize, 1..4usize]),
        pool in prop::option::of([1..3usize, 1..4usize].prop_map(MaxPoolSpec::<2>::new)),
        dtype in select(&FLOATS[..]),
        emulator in emulators(),
    ) {
        let spec = ConvSpec::<2>::default().padding(1);
        let x = filled(&pattern, &[n, from, h, w]).to_dtype(dtype).unwrap();
        let convolution = [x.clone(), tensor(&[to, from, kernel[0], kernel[1]], 2, dtype), tensor(&[to], 3, dtype)];
        let fused = by_kernels(emulator, &convolution, |t| conv_relu(&t[0], &t[1], Some(&t[2]), &spec, pool.as_ref()));
        let apart = by_kernels(emulator, &convolution, |t| {
            let y = relu(&conv2d(&t[0], &t[1], Some(&t[2]), &spec)?)?;
            pool.as_ref().map_or_else(|| Ok(y.clone()), |pool| max_pool2d(&y, pool))
        });
        prop_assert_eq!(fused, apart);

        let normalised = [x.clone(), tensor(&[from], 6, dtype), tensor(&[from], 7, dtype)];
        let fused = by_kernels(emulator, &normalised, |t| {
            Ok(batch_norm_relu(&t[0], Some(&t[1]), Some(&t[2]), 1e-2, pool.as_ref())?.0)
        });
        let apart = by_kernels(emulator, &normalised, |t| {
            let y = relu(&batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-2)?)?;
            pool.as_ref().map_or_else(|| Ok(y.clone()), |pool| max_pool2d(&y, pool))
        });
        prop_assert_eq!(fused, apart);

        let affine = [x.clone(), tensor(&[to, w], 2, dtype), tensor(&[to], 3, dtype)];
        let fused = by_kernels(emulator, &affine, |t| linear_relu(&t[0], &t[1], Some(&t[2])));
        let apart = by_kernels(emulator, &affine, |t| relu(&linear(&t[0], &t[1], Some(&t[2]))?));
        prop_assert_eq!(fused, apart);

        let terms = [x.clone(), filled(&pattern[pattern.len() / 2..], &[n, from, h, w]).to_dtype(dtype).unwrap()];
        let apart = by_kernels(emulator, &terms, |t| relu(&(&t[0] + &t[1])?));
        prop_assert_eq!(by_kernels(emulator, &terms, |t| add_relu(&t[0], &t[1])), apart);
        same_bits(emulator, &terms, &|t| add_relu(&t[0], &t[1]));
    }
}

/// The exponential, the hyperbolic tangent and the error function of float32, over all of it and densely where they bend.
#[test]
fn float32_is_the_cpus_everywhere() {
    let all = (0..=u32::MAX).step_by(99_991).map(f32::from_bits);
    let bend = (0..40_000).map(|i| (i as f32 - 20_000.) * 5e-4);
    let x = Tensor::from_iter(all.chain(bend), &Device::Cpu).unwrap();
    let kernels = Kernels::or_device(Emulator { block: 256, ..Emulator::default() });
    for f in [sigmoid, tanh, gelu] {
        same_bits(kernels, std::slice::from_ref(&x), &|x| f(&x[0]));
    }
}

/// Numbers whose sums depend on the order, over several slices of rows, and over several runs.
#[test]
fn long_sums_keep_their_order() {
    let kernels = Kernels::or_device(Emulator { block: 64, ..Emulator::default() });
    for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-13)] {
        let [x, w, b, dy] =
            [vec![3000, 2], vec![7, 2], vec![7], vec![3000, 7]].map(|shape| reals(&shape, 1).to_dtype(dtype).unwrap());
        let bias_grad = |place: &dyn Fn(&Tensor) -> Tensor| {
            let b = Var::from_tensor(&place(&b)).unwrap();
            let y = linear(&place(&x), &place(&w), Some(&b)).unwrap();
            bits((y * place(&dy)).unwrap().sum_all().unwrap().backward().unwrap().get(&b).unwrap())
        };
        assert_eq!(kernels.run(|| bias_grad(&|t| kernels.place(t))), bias_grad(&Tensor::clone));
        let one_slope = [reals(&[3, 3000], 4), reals(&[1], 5)].map(|t| t.to_dtype(dtype).unwrap());
        same_values(kernels, &one_slope, tolerance, &|t| prelu(&t[0], &t[1]));
    }
}
