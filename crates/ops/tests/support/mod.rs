//! Holds an operator against every one of its reference vectors.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

pub mod convolution;
pub mod draws;
pub mod emulated;
pub mod golden;
pub mod layouts;
pub mod pooling;

use candle_core::{DType, Device, Tensor, Var};
pub use golden::{Case, close};
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use std::collections::HashMap;

/// So many random cases, the same in every run; a failure shrinks, and leaves no file behind.
pub fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(20_261_124);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// How many cases of a file were held, and how many were refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Count {
    pub passed: usize,
    pub refused: usize,
}

/// Runs every case of `tests/golden/<op>.safetensors` in float64 and in float32, on the CPU and by its CUDA kernels.
///
/// `call` gets the case and its inputs by name, and gives the outputs in the reference's order, `Ok(None)` where the
/// types cannot express the call, or the error. `refused` is shown every error of a case that must be refused.
pub fn check<E: std::fmt::Display>(
    op: &str,
    wanted: impl Fn(&Case) -> bool,
    call: impl Fn(&Case, &HashMap<String, Tensor>) -> Result<Option<Vec<Tensor>>, E>,
    refused: impl Fn(&Case, &E),
) -> Count {
    check_by(op, wanted, call, refused, |_, _, what, actual, expected, tolerance| {
        close(what, actual, expected, tolerance)
    })
}

/// Like [`check`], with a comparison of one's own for where this crate differs from the reference on purpose: it gets the
/// case and its inputs, what is compared, the tensor, the reference's and the tolerance.
pub fn check_by<E: std::fmt::Display>(
    op: &str,
    wanted: impl Fn(&Case) -> bool,
    call: impl Fn(&Case, &HashMap<String, Tensor>) -> Result<Option<Vec<Tensor>>, E>,
    refused: impl Fn(&Case, &E),
    compare: impl Fn(&Case, &HashMap<String, Tensor>, &str, &Tensor, &Tensor, f64),
) -> Count {
    let mut count = Count { passed: 0, refused: 0 };
    for case in golden::read(op).into_iter().filter(wanted) {
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let inputs = inputs(&case, dtype);
            if case.inputs.iter().any(|name| leaves_range(&inputs[name], &case.tensors[name])) {
                continue;
            }
            let compare = |what: &str, a: &Tensor, b: &Tensor| compare(&case, &inputs, what, a, b, tolerance);
            let outcome = call(&case, &inputs);
            match (&case.error, outcome) {
                (Some(_), Ok(None)) => {}
                (Some(_), Err(error)) => refused(&case, &error),
                (Some(error), Ok(Some(_))) => panic!("{op} {}: must be refused ({error}): {}", case.id, case.kwargs),
                (None, Ok(None)) => panic!("{op} {}: not expressed: {}", case.id, case.kwargs),
                (None, Err(error)) => panic!("{op} {}: {error}: {}", case.id, case.kwargs),
                (None, Ok(Some(outputs))) => {
                    hold(op, &case, &inputs, &outputs, compare).unwrap();
                    let kernels = emulated::nth(count.passed);
                    let placed = placed(&case, &inputs, kernels);
                    kernels.run(|| {
                        let outputs = call(&case, &placed).unwrap_or_else(|error| panic!("{op} {}: {error}", case.id));
                        let by_kernels = |what: &str, a: &Tensor, b: &Tensor| {
                            compare(&format!("{what} by {kernels:?}"), a, b);
                        };
                        hold(op, &case, &placed, &outputs.unwrap(), by_kernels).unwrap();
                    });
                }
            }
        }
        match case.error {
            Some(_) => count.refused += 1,
            None => count.passed += 1,
        }
    }
    count
}

/// The inputs in `dtype`; those with a gradient are variables.
fn inputs(case: &Case, dtype: DType) -> HashMap<String, Tensor> {
    let read = |name: &String| {
        let tensor = &case.tensors[name];
        let tensor = match tensor.dtype() {
            DType::F64 => tensor.to_dtype(dtype).unwrap(),
            _ => tensor.clone(),
        };
        let tracked = case.grads.contains(name);
        (name.clone(), if tracked { Var::from_tensor(&tensor).unwrap().into_inner() } else { tensor })
    };
    case.inputs.iter().map(read).collect()
}

/// The inputs where the kernels read them; those with a gradient are variables.
fn placed(case: &Case, inputs: &HashMap<String, Tensor>, kernels: emulated::Kernels) -> HashMap<String, Tensor> {
    let place = |(name, tensor): (&String, &Tensor)| {
        let tensor = kernels.place(&tensor.detach());
        let tracked = case.grads.contains(name);
        (name.clone(), if tracked { Var::from_tensor(&tensor).unwrap().into_inner() } else { tensor })
    };
    inputs.iter().map(place).collect()
}

/// Whether numbers became zero or infinite on the way into a narrower dtype, such as 1e-300 in float32: those are other
/// numbers, at which the reference was not asked.
fn leaves_range(narrow: &Tensor, wide: &Tensor) -> bool {
    let (narrow, wide) = (layouts::values(narrow), layouts::values(wide));
    narrow.iter().zip(&wide).any(|(narrow, wide)| wide.is_normal() && !narrow.is_normal())
}

fn hold(
    op: &str,
    case: &Case,
    inputs: &HashMap<String, Tensor>,
    outputs: &[Tensor],
    compare: impl Fn(&str, &Tensor, &Tensor),
) -> candle_core::Result<()> {
    assert_eq!(outputs.len(), case.outputs.len(), "{op} {}: number of outputs", case.id);
    for (name, output) in case.outputs.iter().zip(outputs) {
        let expected = &case.tensors[name];
        compare(&format!("{op} {} {name} {}", case.id, case.kwargs), &output.to_device(&Device::Cpu)?, expected);
    }
    if case.grads.is_empty() {
        return Ok(());
    }
    let cotangent = case.tensors["cotangent"].to_dtype(outputs[0].dtype()).unwrap().to_device(outputs[0].device())?;
    let loss = (&outputs[0] * cotangent).unwrap().sum_all().unwrap();
    let grads = loss.backward()?;
    for name in &case.grads {
        let grad = grads.get(&inputs[name]).unwrap_or_else(|| panic!("{op} {}: no gradient of {name}", case.id));
        let expected = &case.tensors[&format!("grad_{name}")];
        compare(&format!("{op} {} grad_{name} {}", case.id, case.kwargs), &grad.to_device(&Device::Cpu)?, expected);
    }
    Ok(())
}
