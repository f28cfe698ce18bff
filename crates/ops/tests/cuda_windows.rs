//! CUDA kernels of pooling, padding, resampling and unfolding against the CPU's, over random geometry, types, layouts, block
//! sizes and orders of threads; the kernels run on the CPU.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::emulated::{FLOATS, Kernels, agree, emulators, same_bits};
use support::layouts::{integers, reals, values};
use support::pooling::{Geometry, bits, filled, geometry, layouts, pattern};
use taper_gradcheck::MemoryLayout;
use taper_ops::InterpolateMode::{Bicubic, Linear, Nearest, NearestExact};
use taper_ops::{
    AvgPoolSpec, Draw, Error, FractionalMaxPoolSpec, InterpolateMode, LpPoolSpec, MaxUnpoolSpec, PadMode, Resize,
    UnfoldSpec, adaptive_avg_pool3d, adaptive_max_pool2d, adaptive_max_pool3d, adaptive_max_pool3d_with_indices,
    avg_pool3d, fold2d, fractional_max_pool2d, fractional_max_pool3d, fractional_max_pool3d_with_indices,
    interpolate1d, interpolate2d, interpolate3d, lp_pool3d, max_unpool2d, pad3d, unfold2d,
};

/// A shape and another extent for each of its last axes.
#[derive(Debug, Clone)]
struct Resized<const D: usize> {
    lead: Vec<usize>,
    extents: [usize; D],
    to: [usize; D],
}

impl<const D: usize> Resized<D> {
    fn shape(&self) -> Vec<usize> {
        [self.lead.as_slice(), &self.extents].concat()
    }
}

fn lead() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![(1..=4usize).prop_map(|c| vec![c]), (0..=3usize, 1..=3usize).prop_map(|(n, c)| vec![n, c])]
}

fn resized<const D: usize>() -> impl Strategy<Value = Resized<D>> {
    (lead(), std::array::from_fn::<_, D, _>(|_| (1..=9usize, 1..=9usize))).prop_map(|(lead, axes)| Resized {
        lead,
        extents: axes.map(|axis| axis.0),
        to: axes.map(|axis| axis.1),
    })
}

fn laid(x: &Tensor, dtype: DType, layout: MemoryLayout) -> Tensor {
    layout.apply(&x.to_dtype(dtype).unwrap()).unwrap()
}

fn avg_pool_spec<const D: usize>(g: &Geometry<D>, count_include_pad: bool, divisor: Option<i64>) -> AvgPoolSpec<D> {
    AvgPoolSpec::new(g.kernel)
        .stride(g.stride)
        .padding(g.padding)
        .ceil_mode(g.ceil_mode)
        .count_include_pad(count_include_pad)
        .divisor_override(divisor)
}

fn interpolate_mode() -> impl Strategy<Value = InterpolateMode> {
    let linear = any::<bool>().prop_map(|align_corners| Linear { align_corners });
    prop_oneof![Just(Nearest), Just(NearestExact), linear]
}

/// Equal elements, signed zeros, infinities and NaN are frequent.
const CORNERS: [f64; 9] = [-2., -1., -0., 0., 1., 2., f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

proptest! {
    #![proptest_config(config(160))]

    #[test]
    fn avg_pool(
        geometry in geometry::<3>(1..=1),
        (count_include_pad, divisor) in (any::<bool>(), select(&[None, None, Some(7), Some(-3)][..])),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let spec = avg_pool_spec(&geometry, count_include_pad, divisor);
        let x = laid(&reals(&geometry.shape(), 1), dtype, layout);
        if avg_pool3d(&x, &spec).is_ok() {
            same_bits(emulator, &[x], &|x| avg_pool3d(&x[0], &spec));
        }
    }

    #[test]
    fn adaptive_avg_pool(
        g in resized::<3>(),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let x = laid(&reals(&g.shape(), 2), dtype, layout);
        same_bits(emulator, &[x], &|x| adaptive_avg_pool3d(&x[0], g.to));
    }

    #[test]
    fn adaptive_max_pool(
        g in resized::<3>(),
        pattern in pattern(&CORNERS),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let x = laid(&filled(&pattern, &g.shape()), dtype, layout);
        let (_, indices) = adaptive_max_pool3d_with_indices(&x, g.to).unwrap();
        let placed = emulator.place(&x);
        let (y, found) = emulator.run(|| adaptive_max_pool3d_with_indices(&placed, g.to)).unwrap();
        prop_assert_eq!(bits(&found), bits(&indices));
        prop_assert_eq!(bits(&y), bits(&emulator.run(|| adaptive_max_pool3d(&placed, g.to)).unwrap()));
        same_bits(emulator, &[x], &|x| adaptive_max_pool3d(&x[0], g.to));
    }

    /// Sides that a mode does not allow are shortened to what it does.
    #[test]
    fn pad(
        g in resized::<3>(),
        sides in prop::array::uniform3((0..=7usize, 0..=7usize)),
        mode in select(vec![PadMode::Constant(-1.3), PadMode::Reflect, PadMode::Replicate, PadMode::Circular]),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let allowed = |extent: usize| match mode {
            PadMode::Constant(_) | PadMode::Replicate => 7,
            PadMode::Reflect => extent - 1,
            PadMode::Circular => extent,
        };
        let sides = [0, 1, 2].map(|i| (sides[i].0.min(allowed(g.extents[i])), sides[i].1.min(allowed(g.extents[i]))));
        let x = laid(&reals(&g.shape(), 3), dtype, layout);
        // Weighted, so that gradients are no small integers.
        let weight = reals(pad3d(&x, sides, mode).unwrap().dims(), 4).to_dtype(dtype).unwrap();
        same_bits(emulator, &[x], &|x| Ok((pad3d(&x[0], sides, mode)? * weight.to_device(x[0].device())?)?));
    }

    /// Copies keep the sign of a zero.
    #[test]
    fn interpolate_plane(
        g in resized::<2>(),
        pattern in pattern(&[-0., 0., 0.7, -1.3, 2.9, -0.1]),
        mode in prop_oneof![
            interpolate_mode(),
            any::<bool>().prop_map(|align_corners| Bicubic { align_corners }),
        ],
        factors in prop::option::of(prop::array::uniform2(0.4..3.)),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let x = laid(&filled(&pattern, &g.shape()), dtype, layout);
        let resize = factors.map_or(Resize::Size(g.to), Resize::ScaleFactor);
        if interpolate2d(&x, resize, mode).is_ok() {
            same_bits(emulator, &[x], &|x| interpolate2d(&x[0], resize, mode));
        }
    }

    /// Where an axis repeats an element, the CPU adds a volume's gradients in another order: its weights here are sums of powers of
    /// two, and all sums exact.
    #[test]
    fn interpolate_line_and_volume(
        g in resized::<3>(),
        mode in interpolate_mode(),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let x = laid(&integers(&g.shape(), 6), dtype, layout);
        let double = g.extents.map(|extent| 2 * extent);
        same_bits(emulator, std::slice::from_ref(&x), &|x| interpolate3d(&x[0], Resize::Size(double), mode_of(mode)));
        let line = x.flatten_from(x.rank() - 2).unwrap();
        let x = if line.rank() > 3 { line.flatten(1, 2).unwrap() } else { line };
        same_bits(emulator, &[x], &|x| interpolate1d(&x[0], Resize::Size([g.to[0]]), mode));
    }

    #[test]
    fn unfold_and_fold(
        g in resized::<2>(),
        spec in (prop::array::uniform2(1..=4usize), prop::array::uniform2(1..=3usize), prop::array::uniform2(0..=3usize),
            prop::array::uniform2(1..=3usize)),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let (kernel, dilation, padding, stride) = spec;
        let spec = UnfoldSpec::new(kernel).dilation(dilation).padding(padding).stride(stride);
        let image = laid(&reals(&g.shape(), 7), dtype, layout);
        if let Ok(columns) = unfold2d(&image, &spec) {
            same_bits(emulator, &[image], &|x| unfold2d(&x[0], &spec));
            let columns = laid(&reals(columns.dims(), 8), dtype, layout);
            same_bits(emulator, &[columns], &|x| fold2d(&x[0], g.extents, &spec));
        }
    }

    /// Of the elements that go to one place the last wins.
    #[test]
    fn max_unpool(
        g in resized::<2>(),
        seed in 0..1000usize,
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let (spec, shape) = (MaxUnpoolSpec::new([2, 1]).stride([2, 1]), g.shape());
        let plane = 2 * g.extents[0] * g.extents[1];
        let place = |i: usize| ((i * 7919 + seed) % 23 % plane) as i64;
        let indices = Tensor::from_iter((0..shape.iter().product()).map(place), &Device::Cpu).unwrap();
        let indices = indices.reshape(shape.as_slice()).unwrap();
        let x = laid(&reals(&shape, 11), dtype, layout);
        same_bits(emulator, &[x], &|x| max_unpool2d(&x[0], &indices, &spec));
    }

    #[test]
    fn fractional_max_pool(
        g in resized::<3>(),
        (kernel, seed) in (prop::array::uniform3(1..=3usize), any::<u64>()),
        pattern in pattern(&CORNERS),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let kernel = [0, 1, 2].map(|i| kernel[i].min(g.extents[i]));
        let to = [0, 1, 2].map(|i| g.to[i].min(g.extents[i] - kernel[i] + 1));
        let draw = Draw { seed, step: 1, layer: 2, first_sample: 3 };
        let x = laid(&filled(&pattern, &g.shape()), dtype, layout);
        let volume = FractionalMaxPoolSpec::new(kernel, to);
        let (_, indices) = fractional_max_pool3d_with_indices(&x, &volume, draw).unwrap();
        let (_, found) = emulator.run(|| fractional_max_pool3d_with_indices(&emulator.place(&x), &volume, draw)).unwrap();
        prop_assert_eq!(bits(&found), bits(&indices));
        same_bits(emulator, std::slice::from_ref(&x), &|x| fractional_max_pool3d(&x[0], &volume, draw));
        // Its axes take their numbers in another order.
        let plane = FractionalMaxPoolSpec::new([kernel[1], kernel[2]], [to[1], to[2]]);
        let x = x.narrow(x.rank() - 3, 0, 1).unwrap().squeeze(x.rank() - 3).unwrap();
        same_bits(emulator, &[x], &|x| fractional_max_pool2d(&x[0], &plane, draw));
    }

    /// Where a sum of powers is negative, so that it has no root, both are NaN.
    #[test]
    fn lp_pool(
        geometry in geometry::<3>(1..=1),
        p in select(vec![0.7, 1., 2., 2.5, 3.]),
        pattern in pattern(&[0., -0., 0.3, 1.9, 2., 5.1, -0.7]),
        (dtype, layout) in (select(&FLOATS[..]), layouts()),
        emulator in emulators(),
    ) {
        let spec = LpPoolSpec::new(p, geometry.kernel).stride(geometry.stride).ceil_mode(geometry.ceil_mode);
        let x = laid(&filled(&pattern, &geometry.shape()), dtype, layout);
        if lp_pool3d(&x, &spec).is_ok() {
            agree(emulator, &[x], &|x| lp_pool3d(&x[0], &spec));
        }
    }

    /// Windows so large that a block adds each; sums of integers are exact.
    #[test]
    fn large_windows(dtype in select(&FLOATS[..2]), layout in layouts(), emulator in emulators()) {
        let x = laid(&integers(&[2, 3, 5, 19, 23], 9), dtype, layout);
        let spec = AvgPoolSpec::new([4, 18, 17]).stride([2, 3, 5]).padding([1, 2, 3]).ceil_mode(true);
        let spec = spec.count_include_pad(false);
        same_bits(emulator, std::slice::from_ref(&x), &|x| avg_pool3d(&x[0], &spec));
        same_bits(emulator, &[x], &|x| adaptive_avg_pool3d(&x[0], 1));
    }
}

/// A mode whose weights are sums of powers of two where an extent doubles.
fn mode_of(mode: InterpolateMode) -> InterpolateMode {
    match mode {
        Linear { .. } => Linear { align_corners: false },
        mode => mode,
    }
}

/// What a block adds has the same bits whatever its size.
#[test]
fn large_windows_do_not_depend_on_the_block() {
    let x = reals(&[2, 37, 41], 10);
    let by = |block| {
        let kernels = Kernels::or_device(taper_cuda_emulator::Emulator { block, ..Default::default() });
        let x = kernels.place(&x.unsqueeze(1).unwrap());
        kernels.run(|| adaptive_avg_pool3d(&x, 1)).unwrap()
    };
    let expected = values(&by(32));
    for block in [64, 96, 256, 512] {
        assert_eq!(values(&by(block)), expected, "{block}");
    }
}

/// What the forward pass left on a device, the CPU does not read, nor a device what it left on the CPU.
#[test]
fn a_gradient_on_another_device_is_refused() {
    let x = Var::from_tensor(&reals(&[2, 5, 7], 12)).unwrap();
    let forward = || adaptive_max_pool2d(&x, [2, 3]).unwrap();
    let emulator = taper_cuda_emulator::Emulator::default();
    let (on_device, on_host) = (emulator.run(forward), forward());
    for outcome in [on_device.backward(), emulator.run(|| on_host.backward())] {
        let error = Error::from(outcome.unwrap_err());
        assert!(matches!(error, Error::OtherDevice { op: "adaptive_max_pool2d" }), "{error}");
    }
    assert!(on_host.backward().is_ok() && emulator.run(|| on_device.backward()).is_ok());
}
