//! Transposed convolution's derivatives of both orders against finite differences, and float32 against float64.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use support::config;
use support::convolution::{TransposeGeometry, transpose_geometry};
use taper_gradcheck::GradCheck;
use taper_gradcheck::strategies::{Fill, reals};
use taper_ops::{ConvTransposeSpec, Result, conv_transpose1d, conv_transpose2d, conv_transpose3d};

type ConvTranspose<const D: usize> = fn(&Tensor, &Tensor, Option<&Tensor>, &ConvTransposeSpec<D>) -> Result<Tensor>;

/// Input, weight and, where it is wanted, bias.
fn inputs<const D: usize>(g: &TransposeGeometry<D>, bias: bool, fill: Fill) -> Vec<Tensor> {
    let shapes = [Some(g.x()), Some(g.weight()), bias.then(|| vec![g.y()[1]])];
    let seeds = [fill.seed, !fill.seed, fill.seed ^ 0xB1A5];
    let drawn = shapes.into_iter().zip(seeds).filter_map(|(shape, seed)| Some((shape?, seed)));
    drawn.map(|(shape, seed)| Fill { seed, ..fill }.tensor(&shape, DType::F64).unwrap()).collect()
}

/// Both orders, by element or, where there are too many, along `directions`; float32; and that samples are apart.
fn hold<const D: usize>(
    op: ConvTranspose<D>,
    g: &TransposeGeometry<D>,
    bias: bool,
    fill: Fill,
    directions: Option<usize>,
) {
    let inputs = inputs(g, bias, fill);
    let call = |a: &[Tensor]| op(&a[0], &a[1], a.get(2), &g.spec());
    let check = || {
        let names = ["x", "weight", "bias"];
        let check = GradCheck::new("conv_transpose").input_names(names).linear_in(0..inputs.len());
        let check = check.forbid_wasted_gradients();
        directions.map_or(check.clone(), |count| check.directions(count))
    };
    check().check(call, &inputs).unwrap().assert_passed();
    check().check_second_order(call, &inputs).unwrap().assert_passed();
    check().check_float32(call, &inputs).unwrap().assert_passed();
    check().batch_invariance(call, &inputs, &[0]).unwrap().assert_passed();
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn of_conv_transpose1d(g in transpose_geometry::<1>(), bias in any::<bool>(), fill in reals()) {
        hold(conv_transpose1d, &g, bias, fill, None);
    }

    #[test]
    fn of_conv_transpose2d(g in transpose_geometry::<2>(), bias in any::<bool>(), fill in reals()) {
        hold(conv_transpose2d, &g, bias, fill, None);
    }

    #[test]
    fn of_conv_transpose3d(g in transpose_geometry::<3>(), bias in any::<bool>(), fill in reals()) {
        hold(conv_transpose3d, &g, bias, fill, Some(2));
    }
}
