#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! What the strategies promise: valid draws, exactly one fault, and shrinking in order.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use taper_gradcheck::MemoryLayout;
use taper_gradcheck::strategies::{self, ConvFault, ConvGeometry, Kind, PoolFault, PoolGeometry};

proptest! {
    #[test]
    fn every_window_of_a_max_pool_holds_an_element(pool in strategies::max_pool_geometry::<2>()) {
        let output = pool.output_shape();
        for axis in 0..2 {
            prop_assert!(pool.padding[axis] <= pool.kernel[axis] / 2);
            for o in 0..output[2 + axis] {
                let start = (o * pool.stride[axis]) as i64 - pool.padding[axis] as i64;
                let holds = (0..pool.kernel[axis]).any(|tap| {
                    let at = start + (tap * pool.dilation[axis]) as i64;
                    (0..pool.input[axis] as i64).contains(&at)
                });
                prop_assert!(holds, "axis {axis}, window {o}");
            }
        }
    }

    #[test]
    fn a_convolution_is_valid(conv in strategies::conv_geometry::<2>()) {
        prop_assert_eq!(conv.in_channels % conv.groups, 0);
        prop_assert_eq!(conv.out_channels % conv.groups, 0);
        for axis in 0..2 {
            let padded = conv.input[axis] + conv.padding[axis].0 + conv.padding[axis].1;
            prop_assert!(padded > conv.dilation[axis] * (conv.kernel[axis] - 1));
            prop_assert!(conv.output_shape()[2 + axis] >= 1);
        }
    }

    #[test]
    fn a_faulty_convolution_has_its_fault(conv in strategies::faulty_conv::<2>()) {
        let out_channels = conv.weight_shape[0];
        let taken = conv.weight_shape[1] * conv.groups;
        let larger = |axis: usize| {
            let reach = (conv.dilation[axis] * conv.weight_shape[2 + axis].saturating_sub(1)) + 1;
            reach > conv.input_shape[2 + axis] + conv.padding[axis].0 + conv.padding[axis].1
        };
        let bias_fits = conv.bias_shape.as_ref().is_none_or(|shape| shape[0] == out_channels);
        let faults = [
            (ConvFault::ZeroStride, conv.stride.contains(&0)),
            (ConvFault::ZeroDilation, conv.dilation.contains(&0)),
            (ConvFault::ZeroGroups, conv.groups == 0),
            (ConvFault::ZeroKernel, conv.weight_shape[2..].contains(&0)),
            (ConvFault::GroupsOverOutChannels, conv.groups > 0 && out_channels % conv.groups != 0),
            (ConvFault::InputChannels, conv.groups > 0 && conv.input_shape[1] != taken),
            (ConvFault::KernelTooLarge, larger(0) || larger(1)),
            (ConvFault::BiasLength, !bias_fits),
        ];
        for (fault, present) in faults {
            prop_assert_eq!(present, fault == conv.fault, "{:?}", fault);
        }
    }

    #[test]
    fn a_faulty_pool_has_its_fault(pool in prop_oneof![strategies::faulty_max_pool::<2>(), strategies::faulty_avg_pool::<2>()]) {
        let geometry = &pool.geometry;
        let larger = (0..2).any(|axis| {
            let reach = geometry.dilation[axis] * geometry.kernel[axis].saturating_sub(1) + 1;
            reach > geometry.input[axis] + 2 * geometry.padding[axis]
        });
        let faults = [
            (PoolFault::ZeroStride, geometry.stride.contains(&0)),
            (PoolFault::ZeroDilation, geometry.dilation.contains(&0)),
            (PoolFault::ZeroKernel, geometry.kernel.contains(&0)),
            (PoolFault::PaddingOverHalf, (0..2).any(|axis| geometry.padding[axis] > geometry.kernel[axis] / 2)),
            (PoolFault::KernelTooLarge, larger),
            (PoolFault::ZeroDivisor, geometry.divisor_override == Some(0)),
        ];
        for (fault, present) in faults {
            prop_assert_eq!(present, fault == pool.fault, "{:?}", fault);
        }
    }

    #[test]
    fn distinct_values_are(fill in strategies::distinct(), len in 0..40_usize) {
        let mut values = fill.values(len);
        values.sort_by(f64::total_cmp);
        prop_assert!(values.windows(2).all(|pair| (pair[1] - pair[0] - 0.25).abs() < 1e-12));
    }

    #[test]
    fn a_layout_keeps_the_values(layout in strategies::memory_layout(), fill in strategies::reals()) {
        let x = fill.tensor(&[2, 3, 4], DType::F32).unwrap();
        let laid_out = layout.apply(&x).unwrap();
        prop_assert_eq!(laid_out.is_contiguous(), layout == MemoryLayout::Contiguous);
        if layout != MemoryLayout::Broadcast {
            let read = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            prop_assert_eq!(read(&laid_out), read(&x));
        }
    }
}

#[test]
fn draws_are_mostly_rectangular_and_varied() {
    let mut runner = TestRunner::deterministic();
    let draws: Vec<ConvGeometry<2>> =
        (0..400).map(|_| strategies::conv_geometry().new_tree(&mut runner).unwrap().current()).collect();
    let share = |holds: &dyn Fn(&ConvGeometry<2>) -> bool| draws.iter().filter(|conv| holds(conv)).count();
    assert!(share(&|conv| conv.input[0] != conv.input[1]) > 240);
    assert!(share(&|conv| conv.kernel[0] != conv.kernel[1]) > 240);
    assert!(share(&|conv| conv.padding[0].0 != conv.padding[0].1) > 240);
    assert!(share(&|conv| conv.batch > 1) > 200);
    assert!(share(&|conv| conv.groups > 1) > 200);
}

/// Shrinks as far as `fails` allows.
fn minimal<S: Strategy>(strategy: &S, fails: impl Fn(&S::Value) -> bool) -> S::Value {
    let mut runner = TestRunner::deterministic();
    let mut tree = loop {
        let tree = strategy.new_tree(&mut runner).unwrap();
        if fails(&tree.current()) {
            break tree;
        }
    };
    while tree.simplify() {
        while !fails(&tree.current()) {
            if !tree.complicate() {
                break;
            }
        }
    }
    tree.current()
}

#[test]
fn shrinking_reaches_the_smallest_case() {
    let smallest = minimal(&strategies::conv_geometry::<2>(), |_| true);
    let expected = ConvGeometry {
        batch: 1,
        groups: 1,
        in_channels: 1,
        out_channels: 1,
        input: [1, 1],
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [(0, 0), (0, 0)],
        bias: false,
    };
    assert_eq!(smallest, expected);
    let strided = minimal(&strategies::conv_geometry::<2>(), |conv| conv.stride[1] > 1 && conv.groups > 1);
    assert_eq!(strided, ConvGeometry { groups: 2, in_channels: 2, out_channels: 2, stride: [1, 2], ..expected });
    let pool = minimal(&strategies::avg_pool_geometry::<2>(), |pool| pool.kernel[0] > 2);
    let expected = PoolGeometry { batch: 1, channels: 1, input: [3, 1], kernel: [3, 1], ..pool.clone() };
    assert_eq!(pool, expected);
    assert_eq!((pool.stride, pool.padding, pool.ceil_mode, pool.divisor_override), ([1, 1], [0, 0], false, None));
    assert_eq!(minimal(&strategies::reals(), |_| true).kind, Kind::Signs);
}

#[test]
fn a_fill_is_the_same_on_every_machine() {
    let values = strategies::Fill { kind: Kind::Integers, seed: 3 }.values(6);
    assert_eq!(values, strategies::Fill { kind: Kind::Integers, seed: 3 }.values(6));
    assert!(values.iter().all(|x| x.abs() <= 4.0 && x.fract() == 0.0));
    let empty = strategies::Fill { kind: Kind::Reals, seed: 0 }.tensor(&[0, 3], DType::F64).unwrap();
    assert_eq!(empty.dims(), [0, 3]);
    assert!(MemoryLayout::Window.apply(&empty).is_ok());
    let scalar = Tensor::new(1f64, &Device::Cpu).unwrap();
    assert!(MemoryLayout::ALL.iter().all(|layout| layout.apply(&scalar).unwrap().rank() == 0));
}
