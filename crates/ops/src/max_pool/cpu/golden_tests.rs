//! Every algorithm, with taps and with indices, against the reference's vectors: the public operators take
//! one a shape.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::scalar::{Place, rows_forward};
use super::{indices, scatter_at, taps, vectors, vectors_grad};
use crate::golden::{self, Case};
use crate::simd::Tier;
use crate::window::{PoolDims, WindowSpec};

#[test]
fn every_algorithm_gives_the_reference_vectors() {
    let mut all = cases::<1>("max_pool1d");
    all.extend(cases::<2>("max_pool2d"));
    all.extend(cases::<3>("max_pool3d"));
    assert_eq!(all.len(), 144);
    for (dims, case) in &all {
        hold(dims, case, false);
    }
    for tier in Tier::all() {
        assert_eq!(all.iter().filter(|(dims, case)| hold_vectors(tier, dims, case)).count(), 74);
    }
    let in_blocks =
        |(dims, _): &&(PoolDims, Case)| dims.width().side_by_side() && [2, 3].contains(&dims.width().stride);
    let in_blocks: Vec<_> = all.iter().filter(in_blocks).collect();
    assert_eq!(in_blocks.len(), 9);
    for (dims, case) in in_blocks {
        hold(dims, case, true);
    }
}

/// The cases of `op` that have a value, with the geometry of each.
fn cases<const D: usize>(op: &'static str) -> Vec<(PoolDims, Case)> {
    let with_dims = |case: Case| {
        let spec = WindowSpec::<D> {
            kernel_size: case.axes("kernel_size").unwrap(),
            stride: case.axes("stride").unwrap(),
            padding: case.axes("padding").unwrap(),
            dilation: case.axes("dilation").unwrap(),
            ceil_mode: case.flag("ceil_mode"),
        };
        (spec.dims(op, case.dims("input")).unwrap(), case)
    };
    golden::read(op).into_iter().filter(|case| case.error.is_none()).map(with_dims).collect()
}

/// The maxima and taps of one way to find them, and what follows from the taps.
fn hold(dims: &PoolDims, case: &Case, blocks: bool) {
    let (y, taps) = planes::<u8>(dims, case, blocks);
    let dx = taps::scatter(dims, &taps, &case.values::<f64>("cotangent"));
    let what = format!("in blocks: {blocks}");
    case.hold(&what, "output", &y, 0.);
    case.hold(&what, "indices", &indices(dims, &taps), 0.);
    case.hold(&what, "grad_input", &dx, 0.);
    let (y, places) = planes::<i64>(dims, case, blocks);
    let dx = scatter_at(&dims.planes, &places, &case.values::<f64>("cotangent"));
    case.hold(&what, "output", &y, 0.);
    case.hold(&what, "indices", &places, 0.);
    case.hold(&what, "grad_input", &dx, 0.);
}

fn planes<P: Place>(dims: &PoolDims, case: &Case, blocks: bool) -> (Vec<f64>, Vec<P>) {
    let planes = &dims.planes;
    let (mut y, mut places) = (vec![f64::NEG_INFINITY; planes.output_len], vec![P::default(); planes.output_len]);
    let rows = y.chunks_exact_mut(planes.plane_out).zip(places.chunks_exact_mut(planes.plane_out));
    for (x, (y, places)) in case.values::<f64>("input").chunks_exact(planes.plane_in).zip(rows) {
        rows_forward::<f64, P>(dims, blocks, x, y, places);
    }
    (y, places)
}

/// The same in vectors; false where they do not compute the gradient.
fn hold_vectors(tier: Tier, dims: &PoolDims, case: &Case) -> bool {
    let x = case.values::<f32>("input");
    let what = format!("{tier:?}");
    let (y, taps) = vectors::forward_with_taps(tier, dims, &x);
    case.hold(&what, "output", &y, 1e-6);
    case.hold(&what, "output", &vectors::forward(tier, dims, &x), 1e-6);
    case.hold(&what, "indices", &indices(dims, &taps), 0.);
    let serves = vectors_grad::serves(dims);
    if serves {
        let dx = vectors_grad::scatter(tier, dims, &taps, &case.values::<f32>("cotangent"));
        case.hold(&what, "grad_input", &dx, 1e-6);
    }
    serves
}
