//! The CUDA kernels of the losses, of softmax and of DropBlock against the CPU, over random shapes, types, layouts, block sizes
//! and orders of threads; the kernels run on the CPU.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::emulated::{FLOATS, Kernels, agree, agree_twice, emulators, same_bits, same_bits_twice, same_values};
use support::layouts::{integers, reals};
use support::pooling::{filled, layouts, pattern};
use taper_cuda_emulator::{Emulator, Order};
use taper_ops::{
    BinaryCrossEntropySpec, CrossEntropySpec, Draw, NllLossSpec, Reduction, Result, binary_cross_entropy_with_logits,
    cross_entropy, drop_block2d, huber_loss, kl_div, l1_loss, log_softmax, mse_loss, nll_loss, smooth_l1_loss, softmax,
};

const REDUCTIONS: [Reduction; 4] = [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::BatchMean];

/// How far a result may be from the CPU's where sums of float64, which differ in their last digits, are rounded once more.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 1. / 128.,
        DType::F16 => 1. / 1024.,
        DType::F32 => 2.4e-7,
        _ => 1e-13,
    }
}

fn cast(tensor: &Tensor, dtype: DType) -> Tensor {
    tensor.to_dtype(dtype).unwrap()
}

type Loss = fn(&Tensor, &Tensor, Reduction) -> Result<Tensor>;

const LOSSES: [Loss; 6] = [
    mse_loss,
    l1_loss,
    |x, t, r| smooth_l1_loss(x, t, 2., r),
    |x, t, r| huber_loss(x, t, 4., r),
    |x, t, r| kl_div(x, t, false, r),
    |x, t, r| kl_div(x, t, true, r),
];

/// What classes are compared by: the logits' shape, a class for each position, among which some are ignored, and the spec.
#[derive(Debug)]
struct Call {
    shape: Vec<usize>,
    classes: Vec<i64>,
    reduction: Reduction,
    weighted: bool,
    smoothing: f64,
}

impl Call {
    fn target(&self, dtype: DType) -> Tensor {
        let shape = [&self.shape[..1], &self.shape[2..]].concat();
        Tensor::from_slice(&self.classes, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    /// The weights of the classes, of the type and on the device of `x`.
    fn weight(&self, x: &Tensor) -> Option<Tensor> {
        let weight = (reals(&[self.shape[1]], 7).abs().unwrap() + 0.5).unwrap();
        self.weighted.then(|| cast(&weight, x.dtype()).to_device(x.device()).unwrap())
    }

    fn cross_entropy(&self, x: &Tensor) -> CrossEntropySpec {
        let weight = self.weight(x);
        let spec = CrossEntropySpec::default().reduction(self.reduction).label_smoothing(self.smoothing);
        CrossEntropySpec { weight, ..spec }
    }
}

/// Ignored positions are written −1. One at least is not ignored.
fn call() -> impl Strategy<Value = Call> {
    let shape = (1..5usize, 1..70usize, prop::collection::vec(1..5usize, 0..3));
    (shape, any::<u64>(), select(&REDUCTIONS[..]), any::<bool>(), select(&[0., 0.25][..])).prop_map(
        |((n, c, rest), seed, reduction, weighted, smoothing)| {
            let shape = [&[n, c], &rest[..]].concat();
            let positions = shape.iter().product::<usize>() / c;
            let class = |i: usize| (seed.rotate_left(7 * i as u32) % (c as u64 + 1)) as i64 - 1;
            let classes = (0..positions).map(|i| if i == 0 { 0 } else { class(i) }).collect();
            Call { shape, classes, reduction, weighted, smoothing }
        },
    )
}

proptest! {
    #![proptest_config(config(96))]

    /// Every formula's value and derivatives; sums in float64, in another order than the CPU's.
    #[test]
    fn elementwise(
        which in 0..LOSSES.len(),
        (rows, columns, seed) in (1..5usize, 1..40usize, any::<u64>()),
        reduction in select(&REDUCTIONS[..]),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let shape = [rows, columns];
        let target = reals(&shape, !seed).abs().unwrap();
        let inputs = [reals(&shape, seed), target].map(|t| layout.apply(&cast(&t, dtype)).unwrap());
        let f = LOSSES[which];
        if reduction == Reduction::None {
            agree(emulator, &inputs, &|t| f(&t[0], &t[1], reduction));
            agree_twice(emulator, &inputs, &|t| f(&t[0], &t[1], reduction));
        } else {
            same_values(emulator, &inputs, rounding(dtype), &|t| f(&t[0], &t[1], reduction));
        }
        // Where both are small integers the sums are exact; equal elements are frequent.
        let inputs = [integers(&shape, 1), filled(&[0., 3., -1., 2., 1.], &shape)];
        let inputs = inputs.map(|t| layout.apply(&cast(&t, dtype)).unwrap());
        if which < 4 {
            same_bits(emulator, &inputs, &|t| f(&t[0], &t[1], reduction));
            same_bits_twice(emulator, &inputs, &|t| f(&t[0], &t[1], reduction));
        }
    }

    #[test]
    fn binary_cross_entropy(
        pattern in pattern(&[-88., -3., -0.5, -0., 0.25, 2., 20., f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
        (n, c, w) in (1..5usize, 1..6usize, 1..4usize),
        (weight, pos_weight) in any::<(bool, bool)>(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let shape = [n, c, w];
        let target = (reals(&shape, 1).abs().unwrap() / 2.).unwrap();
        let inputs = [filled(&pattern, &shape), target].map(|t| layout.apply(&cast(&t, dtype)).unwrap());
        let positive = |shape: &[usize], seed| cast(&reals(shape, seed).abs().unwrap(), dtype);
        let f = |t: &[Tensor]| {
            let positive = |shape: &[usize], seed| positive(shape, seed).to_device(t[0].device()).unwrap();
            let spec = BinaryCrossEntropySpec {
                reduction: Reduction::None,
                weight: weight.then(|| positive(&[n, 1, 1], 5)),
                pos_weight: pos_weight.then(|| positive(&[c, 1], 6)),
            };
            binary_cross_entropy_with_logits(&t[0], &t[1], &spec)
        };
        agree(emulator, &inputs, &f);
        agree_twice(emulator, &inputs, &f);
    }

    /// The order of a warp's sum is that of the CPU's lanes, and a thread's that of its columns.
    #[test]
    fn softmax_and_its_logarithm(
        pattern in pattern(&[-100., -3., -1., -0., 0., 0.3, 2., 80., f64::NEG_INFINITY, f64::NAN]),
        mut shape in prop::array::uniform3(1..5usize),
        (axis, classes, logarithm) in (0..3usize, 0..90usize, any::<bool>()),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        shape[axis] = classes;
        let f = if logarithm { log_softmax } else { softmax };
        for x in [filled(&pattern, &shape), reals(&shape, 3)] {
            let x = layout.apply(&cast(&x, dtype)).unwrap();
            agree(emulator, std::slice::from_ref(&x), &|x| f(&x[0], axis));
            agree_twice(emulator, &[x], &|x| f(&x[0], axis));
        }
    }

    #[test]
    fn negative_log_likelihood(
        call in call(),
        integer in select(&[DType::U8, DType::U32, DType::I64][..]),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let x = layout.apply(&cast(&reals(&call.shape, 1), dtype)).unwrap();
        // An integer without a sign has its largest number for −1.
        let ignore_index = [-1, 255, i64::from(u32::MAX)][[DType::I64, DType::U8, DType::U32].iter().position(|d| *d == integer).unwrap()];
        let target = layout.apply(&call.target(integer)).unwrap();
        let f = |t: &[Tensor]| {
            let spec = NllLossSpec { reduction: call.reduction, ignore_index, weight: call.weight(&t[0]) };
            nll_loss(&t[0], &target.to_device(t[0].device())?, &spec)
        };
        same_values(emulator, std::slice::from_ref(&x), rounding(dtype), &f);
        if call.reduction == Reduction::None {
            agree(emulator, std::slice::from_ref(&x), &f);
            agree_twice(emulator, &[x], &f);
        }
    }

    #[test]
    fn cross_entropy_of_indices(
        call in call(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let x = layout.apply(&cast(&(reals(&call.shape, 1) * 4.).unwrap(), dtype)).unwrap();
        let target = layout.apply(&call.target(DType::I64)).unwrap();
        let f = |t: &[Tensor]| {
            let spec = call.cross_entropy(&t[0]).ignore_index(-1);
            cross_entropy(&t[0], &target.to_device(t[0].device())?, &spec)
        };
        same_values(emulator, std::slice::from_ref(&x), rounding(dtype), &f);
        // Of one class's share there is no sum, and columns are added up in the CPU's order.
        if call.reduction == Reduction::None && (call.smoothing == 0. || call.shape[2..].iter().product::<usize>() > 1) {
            agree(emulator, std::slice::from_ref(&x), &f);
            agree_twice(emulator, &[x], &f);
        }
    }

    #[test]
    fn cross_entropy_of_probabilities(
        call in call(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let target = softmax(&reals(&call.shape, 2), 1).unwrap();
        let inputs = [reals(&call.shape, 1), target].map(|t| layout.apply(&cast(&t, dtype)).unwrap());
        let f = |t: &[Tensor]| cross_entropy(&t[0], &t[1], &call.cross_entropy(&t[0]));
        same_values(emulator, &inputs, rounding(dtype), &f);
        if call.reduction == Reduction::None && call.shape[2..].iter().product::<usize>() > 1 {
            agree(emulator, &inputs, &f);
            agree_twice(emulator, &inputs, &f);
        }
    }

    /// Masks are those of the CPU, and so is the scale.
    #[test]
    fn drop_block(
        (n, c, h, w) in (0..4usize, 1..4usize, 1..12usize, 1..10usize),
        (p, block_size) in (prop_oneof![Just(1.), 0.05..0.9f64], 1..6usize),
        (seed, step, layer) in (any::<u64>(), any::<u32>(), any::<u32>()),
        first_sample in prop_oneof![0..9u64, Just(3 << 33)],
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let draw = Draw { seed, step, layer, first_sample };
        let x = layout.apply(&cast(&integers(&[n, c, h, w], 5), dtype)).unwrap();
        same_bits(emulator, std::slice::from_ref(&x), &|x| drop_block2d(&x[0], p, block_size, draw));
        same_bits_twice(emulator, &[x], &|x| drop_block2d(&x[0], p, block_size, draw));
    }
}

/// Over several runs of positions.
#[test]
fn long_sums() {
    let kernels = Kernels::or_device(Emulator { block: 64, ..Emulator::default() });
    let (x, draw) = (reals(&[9000, 3], 1), Draw { seed: 3, step: 1, layer: 0, first_sample: 0 });
    let classes = Tensor::from_iter((0..9000i64).map(|i| i % 4 - 1), &Device::Cpu).unwrap();
    for dtype in [DType::F32, DType::F64] {
        let x = [cast(&x, dtype)];
        let spec = CrossEntropySpec::default().ignore_index(-1);
        same_values(kernels, &x, rounding(dtype), &|x| cross_entropy(&x[0], &classes.to_device(x[0].device())?, &spec));
        let spec = NllLossSpec::default().ignore_index(-1);
        same_values(kernels, &x, rounding(dtype), &|x| nll_loss(&x[0], &classes.to_device(x[0].device())?, &spec));
        let target = cast(&reals(&[9000, 3], 2), dtype);
        same_values(kernels, &x, rounding(dtype), &|x| {
            mse_loss(&x[0], &target.to_device(x[0].device())?, Reduction::Mean)
        });
        same_bits(kernels, &x, &|x| drop_block2d(&x[0].reshape((3, 90, 100))?, 0.2, 5, draw));
    }
    // In float64 the order of a sum over so many classes shows.
    let long = reals(&[40, 3000], 4);
    let classes = Tensor::from_iter((0..40u32).map(|i| i * 76), &Device::Cpu).unwrap();
    let spec = CrossEntropySpec::default().reduction(Reduction::None);
    agree(kernels, &[long], &|x| cross_entropy(&x[0], &classes.to_device(x[0].device())?, &spec));
}

/// The CPU's refusals, word by word: of a class that is none, the first of several, and of a mean over nothing.
#[test]
fn refusals() {
    let x = reals(&[5000, 3], 1);
    let mut classes = vec![1i64; 5000];
    let target = |classes: &[i64]| Tensor::new(classes, &Device::Cpu).unwrap();
    let refused = |target: &Tensor| {
        for emulator in [Emulator::default(), Emulator { block: 96, grid: 2, order: Order::HighestFirst, wide: true }] {
            let kernels = Kernels::or_device(emulator);
            let (nll, ce) = (NllLossSpec::default(), CrossEntropySpec::default());
            let nll = |x: &Tensor, target: &Tensor| nll_loss(x, target, &nll).unwrap_err().to_string();
            let ce = |x: &Tensor, target: &Tensor| cross_entropy(x, target, &ce).unwrap_err().to_string();
            let placed = (kernels.place(&x), kernels.place(target));
            assert_eq!(kernels.run(|| nll(&placed.0, &placed.1)), nll(&x, target));
            assert_eq!(kernels.run(|| ce(&placed.0, &placed.1)), ce(&x, target));
        }
    };
    for wrong in [3, -1, i64::MAX, i64::MIN] {
        for places in [vec![0], vec![4999], vec![4400, 4097, 4600], vec![17, 4500, 3]] {
            places.iter().for_each(|at| classes[*at] = wrong);
            refused(&target(&classes));
            places.iter().for_each(|at| classes[*at] = 1);
        }
    }
    refused(&target(&vec![-100; 5000]));
}
