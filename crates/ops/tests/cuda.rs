//! CUDA kernels against the CPU's, over random geometry, types, layouts, block sizes and orders of threads; the kernels run
//! on the CPU, or on the device that is named.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::convolution::{spec, transpose_geometry};
use support::emulated::{self, FLOATS, agree, emulators, same_bits};
use support::layouts::integers;
use support::pooling::{Geometry, bits, filled, geometry, layouts, pattern};
use taper_gradcheck::strategies::conv_geometry;
use taper_ops::{
    Draw, MaxPoolSpec, alpha_dropout, conv_transpose2d, conv3d, dropout, dropout2d, max_pool3d, max_pool3d_with_indices,
};

proptest! {
    #![proptest_config(config(192))]

    /// Equal elements, signed zeros, infinities and NaN are frequent.
    #[test]
    fn max_pool(
        geometry in geometry::<3>(1..=4),
        pattern in pattern(&[-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let spec = pool_spec(&geometry);
        let x = layout.apply(&filled(&pattern, &geometry.shape()).to_dtype(dtype).unwrap()).unwrap();
        if let Ok((_, indices)) = max_pool3d_with_indices(&x, &spec) {
            let placed = emulator.place(&x);
            let (y, found) = emulator.run(|| max_pool3d_with_indices(&placed, &spec)).unwrap();
            prop_assert_eq!(bits(&found), bits(&indices));
            prop_assert_eq!(bits(&y), bits(&emulator.run(|| max_pool3d(&placed, &spec)).unwrap()));
            same_bits(emulator, &[x], &|x| max_pool3d(&x[0], &spec));
        }
    }

    /// Sums of small integers are exact, in any order.
    #[test]
    fn convolution(
        geometry in conv_geometry::<3>(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let spec = spec(&geometry);
        let tensor = |shape: &[usize], seed| layout.apply(&integers(shape, seed).to_dtype(dtype).unwrap()).unwrap();
        let (x, w) = (tensor(&geometry.input_shape(), 1), tensor(&geometry.weight_shape(), 2));
        agree(emulator, &[x.clone(), w.clone()], &|t| conv3d(&t[0], &t[1], None, &spec));
        let b = tensor(&[geometry.out_channels], 3);
        agree(emulator, &[x, w, b], &|t| conv3d(&t[0], &t[1], Some(&t[2]), &spec));
    }

    #[test]
    fn transposed_convolution(
        geometry in transpose_geometry::<2>(),
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let spec = geometry.spec();
        let tensor = |shape: &[usize], seed| layout.apply(&integers(shape, seed).to_dtype(dtype).unwrap()).unwrap();
        let (x, w) = (tensor(&geometry.x(), 1), tensor(&geometry.weight(), 2));
        let b = tensor(&[geometry.groups * geometry.out_per_group], 3);
        agree(emulator, &[x, w, b], &|t| conv_transpose2d(&t[0], &t[1], Some(&t[2]), &spec));
    }

    /// Masks are those of the CPU, bit by bit, whatever the counter starts at.
    #[test]
    fn dropout_family(
        shape in prop::array::uniform4(1..5usize),
        p in prop_oneof![Just(1.), 0f64..1.],
        (seed, step, layer) in (any::<u64>(), any::<u32>(), any::<u32>()),
        first_sample in prop_oneof![0..9u64, Just(3 << 33)],
        dtype in select(&FLOATS[..]),
        layout in layouts(),
        emulator in emulators(),
    ) {
        let draw = Draw { seed, step, layer, first_sample };
        let x = layout.apply(&integers(&shape, 5).to_dtype(dtype).unwrap()).unwrap();
        same_bits(emulator, std::slice::from_ref(&x), &|x| dropout(&x[0], p, draw));
        same_bits(emulator, std::slice::from_ref(&x), &|x| dropout2d(&x[0], p, draw));
        same_bits(emulator, std::slice::from_ref(&x), &|x| alpha_dropout(&x[0], p, draw));
    }
}

fn pool_spec(geometry: &Geometry<3>) -> MaxPoolSpec<3> {
    MaxPoolSpec::new(geometry.kernel)
        .stride(geometry.stride)
        .padding(geometry.padding)
        .dilation(geometry.dilation)
        .ceil_mode(geometry.ceil_mode)
}

/// Every bit pattern of half precision survives a kernel that changes nothing, and a sum rounds as on the CPU.
#[test]
fn half_precision_is_stored_exactly() {
    let draw = Draw { seed: 1, step: 2, layer: 3, first_sample: 0 };
    for dtype in [DType::F16, DType::BF16] {
        // Halving: exact, or a subnormal that rounds.
        let all: Vec<f32> = (0..=u16::MAX)
            .map(|bits| match dtype {
                DType::F16 => half::f16::from_bits(bits).to_f32(),
                _ => half::bf16::from_bits(bits).to_f32(),
            })
            .collect();
        let x = Tensor::new(all, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        for p in [1e-12, 0.25, 0.5] {
            let expected = dropout(&x, p, draw).unwrap();
            let kernels = emulated::nth(usize::from(dtype == DType::F16));
            let placed = kernels.place(&x);
            let y = kernels.run(|| dropout(&placed, p, draw)).unwrap();
            assert_eq!(bits(&y), bits(&expected), "{dtype:?} {p}");
        }
    }
}
