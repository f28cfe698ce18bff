//! Every algorithm on every tier against the reference's vectors: the public operators take one algorithm a shape, and most
//! shapes of the vectors are small.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{depthwise, direct, dots, unfold, winograd};
use crate::conv::spec::{ConvDims, ConvSpec, ConvTransposeSpec, Padding};
use crate::golden::{self, Case};
use crate::simd::Tier;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Map {
    /// (x, w) → y.
    Forward,
    /// (dy, w) → dx.
    InputGrad,
    /// (x, dy) → dw.
    WeightGrad,
}

/// The value of the map at its two arguments, plus a bias; `None` at a geometry that the algorithm does not take.
type Run = fn(Tier, &ConvDims, [&[f32]; 2], Option<&[f32]>) -> Option<Vec<f32>>;

struct Algorithm {
    name: &'static str,
    map: Map,
    run: Run,
    /// Of the 297 cases, how many it must at least have computed.
    at_least: usize,
}

const ALGORITHMS: [Algorithm; 13] = [
    algorithm("depthwise", Map::Forward, 108, |tier, d, [x, w], b| {
        (d.c_in_group() == 1).then(|| depthwise::forward(tier, d, x, w, b))
    }),
    algorithm("depthwise", Map::InputGrad, 35, |tier, d, [dy, w], b| {
        (d.c_in_group() == 1 && depthwise::serves_input_grad(d)).then(|| depthwise::input_grad(tier, d, dy, w, b))
    }),
    algorithm("depthwise", Map::WeightGrad, 108, |tier, d, [x, dy], _| {
        (d.c_in_group() == 1).then(|| depthwise::weight_grad(tier, d, x, dy))
    }),
    algorithm("direct", Map::Forward, 297, |tier, d, [x, w], b| Some(direct::forward(tier, d, x, w, b))),
    algorithm("direct", Map::InputGrad, 297, |tier, d, [dy, w], b| Some(direct::input_grad(tier, d, dy, w, b))),
    algorithm("direct", Map::WeightGrad, 297, |tier, d, [x, dy], _| Some(direct::weight_grad(tier, d, x, dy))),
    algorithm("dots", Map::WeightGrad, 297, |tier, d, [x, dy], _| Some(dots::weight_grad(tier, d, x, dy))),
    algorithm("unfold", Map::Forward, 297, |_, d, [x, w], b| Some(unfold::forward(d, x, w, b))),
    algorithm("unfold", Map::InputGrad, 297, |_, d, [dy, w], b| Some(unfold::input_grad(d, dy, w, b))),
    algorithm("unfold", Map::WeightGrad, 297, |_, d, [x, dy], _| Some(unfold::weight_grad(d, x, dy))),
    algorithm("winograd", Map::Forward, 4, |tier, d, [x, w], b| {
        winograd::applies(d).then(|| winograd::forward(tier, d, x, w, b))
    }),
    algorithm("winograd", Map::InputGrad, 4, |tier, d, [dy, w], b| {
        winograd::applies(d).then(|| winograd::input_grad(tier, d, dy, w, b))
    }),
    algorithm("winograd", Map::WeightGrad, 4, |tier, d, [x, dy], _| {
        winograd::applies(d).then(|| winograd::weight_grad(tier, d, x, dy))
    }),
];

const fn algorithm(name: &'static str, map: Map, at_least: usize, run: Run) -> Algorithm {
    Algorithm { name, map, run, at_least }
}

#[test]
fn every_algorithm_gives_the_reference_vectors() {
    let mut cases = Vec::new();
    cases.extend(convolutions::<1>("conv1d"));
    cases.extend(convolutions::<2>("conv2d"));
    cases.extend(convolutions::<2>("conv2d_wide"));
    cases.extend(convolutions::<3>("conv3d"));
    cases.extend(transposed::<1>("conv_transpose1d"));
    cases.extend(transposed::<2>("conv_transpose2d"));
    cases.extend(transposed::<3>("conv_transpose3d"));
    for Algorithm { name, map, run, at_least } in ALGORITHMS {
        for tier in Tier::all() {
            let held = cases.iter().filter(|(d, case, problems)| {
                let Problem { inputs, bias, output, .. } = problems.iter().find(|problem| problem.map == map).unwrap();
                let [a, b] = inputs.map(|name| case.values(name));
                let bias = bias.filter(|name| case.tensors.contains_key(*name)).map(|name| case.values(name));
                let Some(value) = run(tier, d, [&a, &b], bias.as_deref()) else { return false };
                case.hold(&format!("{name} {map:?} {tier:?}"), output, &value, 1e-4);
                true
            });
            let held = held.count();
            assert!(held >= at_least, "{name} {map:?} on {tier:?} took {held} cases, not {at_least}");
        }
    }
}

/// What of a case is a value of `map`: its arguments and its result by their names in the file.
struct Problem {
    map: Map,
    inputs: [&'static str; 2],
    bias: Option<&'static str>,
    output: &'static str,
}

const CONVOLUTION: [Problem; 3] = [
    Problem { map: Map::Forward, inputs: ["input", "weight"], bias: Some("bias"), output: "output" },
    Problem { map: Map::InputGrad, inputs: ["cotangent", "weight"], bias: None, output: "grad_input" },
    Problem { map: Map::WeightGrad, inputs: ["input", "cotangent"], bias: None, output: "grad_weight" },
];

/// A transposed convolution is the input gradient of the convolution that has its output for an input.
const TRANSPOSED: [Problem; 3] = [
    Problem { map: Map::InputGrad, inputs: ["input", "weight"], bias: Some("bias"), output: "output" },
    Problem { map: Map::Forward, inputs: ["cotangent", "weight"], bias: None, output: "grad_input" },
    Problem { map: Map::WeightGrad, inputs: ["cotangent", "input"], bias: None, output: "grad_weight" },
];

/// The cases of `op` that have a value, with the geometry of each.
fn convolutions<const D: usize>(op: &'static str) -> impl Iterator<Item = (ConvDims, Case, &'static [Problem])> {
    golden::read(op).into_iter().filter(|case| case.error.is_none()).map(move |case| {
        let padding = match case.kwargs["padding"].as_str() {
            Some("same") => Padding::Same,
            Some("valid") => 0.into(),
            Some(other) => panic!("{}: padding {other}", case.id),
            None => case.axes("padding").unwrap().into(),
        };
        let spec = ConvSpec::<D> {
            stride: case.axes("stride").unwrap(),
            padding,
            dilation: case.axes("dilation").unwrap(),
            groups: groups(&case),
            ..ConvSpec::default()
        };
        let dims = spec.dims(op, case.dims("input"), case.dims("weight")).unwrap();
        (dims, case, CONVOLUTION.as_slice())
    })
}

fn transposed<const D: usize>(op: &'static str) -> impl Iterator<Item = (ConvDims, Case, &'static [Problem])> {
    golden::read(op).into_iter().filter(|case| case.error.is_none()).map(move |case| {
        let spec = ConvTransposeSpec::<D> {
            stride: case.axes("stride").unwrap(),
            padding: case.axes("padding").unwrap(),
            output_padding: case.axes("output_padding").unwrap(),
            dilation: case.axes("dilation").unwrap(),
            groups: groups(&case),
            ..ConvTransposeSpec::default()
        };
        let dims = spec.dims(op, case.dims("input"), case.dims("weight")).unwrap();
        (dims, case, TRANSPOSED.as_slice())
    })
}

fn groups(case: &Case) -> usize {
    case.kwargs["groups"].as_u64().unwrap() as usize
}
