//! Reads the reference vectors in `tests/golden/` and holds an operator against every one of them.
//!
//! Each file was written by the reference from seeded random geometry, in float64: inputs, outputs, a cotangent and the
//! gradients it gives, or the error with which the reference refuses the call.

#![allow(clippy::float_cmp, reason = "infinities agree by equality")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]

pub mod convolution;
pub mod draws;
pub mod layouts;
pub mod pooling;

use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// One call of the operator and what the reference made of it.
pub struct Case {
    pub id: String,
    /// The reference's own keyword arguments.
    pub kwargs: Value,
    /// Why the reference refuses the call.
    pub error: Option<String>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    grads: Vec<String>,
}

impl Case {
    /// Numbers that the reference takes an axis each; `None` where one is negative, which the types of this crate cannot
    /// express, so that such a call is refused by the compiler.
    pub fn axes<const D: usize>(&self, name: &str) -> Option<[usize; D]> {
        let values = self.kwargs[name].as_array().unwrap_or_else(|| panic!("{}: {name} is no list", self.id));
        assert_eq!(values.len(), D, "{}: {name}", self.id);
        let numbers: Option<Vec<usize>> = values.iter().map(|value| Some(value.as_u64()? as usize)).collect();
        numbers?.try_into().ok()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.kwargs[name].as_bool().unwrap_or_else(|| panic!("{}: {name} is no flag", self.id))
    }
}

/// How many cases of a file were held, and how many were refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Count {
    pub passed: usize,
    pub refused: usize,
}

/// Runs every case of `tests/golden/<op>.safetensors` in float64 and in float32.
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{op}.safetensors"));
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["op"], op);
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&metadata["cases"]).unwrap();
    let mut count = Count { passed: 0, refused: 0 };
    for case in cases.iter().map(read_case).filter(wanted) {
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let inputs = inputs(&case, &tensors, dtype);
            if case.inputs.iter().any(|name| leaves_range(&inputs[name], &tensors[&format!("{}.{name}", case.id)])) {
                continue;
            }
            let outcome = call(&case, &inputs);
            match (&case.error, outcome) {
                (Some(_), Ok(None)) => {}
                (Some(_), Err(error)) => refused(&case, &error),
                (Some(error), Ok(Some(_))) => panic!("{op} {}: must be refused ({error}): {}", case.id, case.kwargs),
                (None, Ok(None)) => panic!("{op} {}: not expressed: {}", case.id, case.kwargs),
                (None, Err(error)) => panic!("{op} {}: {error}: {}", case.id, case.kwargs),
                (None, Ok(Some(outputs))) => {
                    let compare = |what: &str, a: &Tensor, b: &Tensor| compare(&case, &inputs, what, a, b, tolerance);
                    hold(op, &case, &tensors, &inputs, &outputs, compare);
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

fn read_case(case: &Value) -> Case {
    let names = |key: &str| -> Vec<String> {
        case[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
    };
    Case {
        id: case["id"].as_str().unwrap().to_string(),
        kwargs: case["kwargs"].clone(),
        error: case["error"].as_str().map(str::to_string),
        inputs: names("inputs"),
        outputs: names("outputs"),
        grads: names("grads"),
    }
}

/// The inputs in `dtype`; those with a gradient are variables.
fn inputs(case: &Case, tensors: &HashMap<String, Tensor>, dtype: DType) -> HashMap<String, Tensor> {
    let read = |name: &String| {
        let tensor = &tensors[&format!("{}.{name}", case.id)];
        let tensor = match tensor.dtype() {
            DType::F64 => tensor.to_dtype(dtype).unwrap(),
            _ => tensor.clone(),
        };
        let tracked = case.grads.contains(name);
        (name.clone(), if tracked { Var::from_tensor(&tensor).unwrap().into_inner() } else { tensor })
    };
    case.inputs.iter().map(read).collect()
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
    tensors: &HashMap<String, Tensor>,
    inputs: &HashMap<String, Tensor>,
    outputs: &[Tensor],
    compare: impl Fn(&str, &Tensor, &Tensor),
) {
    assert_eq!(outputs.len(), case.outputs.len(), "{op} {}: number of outputs", case.id);
    for (name, output) in case.outputs.iter().zip(outputs) {
        let expected = &tensors[&format!("{}.{name}", case.id)];
        compare(&format!("{op} {} {name} {}", case.id, case.kwargs), output, expected);
    }
    if case.grads.is_empty() {
        return;
    }
    let cotangent = tensors[&format!("{}.cotangent", case.id)].to_dtype(outputs[0].dtype()).unwrap();
    let loss = (&outputs[0] * cotangent).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    for name in &case.grads {
        let grad = grads.get(&inputs[name]).unwrap_or_else(|| panic!("{op} {}: no gradient of {name}", case.id));
        let expected = &tensors[&format!("{}.grad_{name}", case.id)];
        compare(&format!("{op} {} grad_{name} {}", case.id, case.kwargs), grad, expected);
    }
}

/// |a − b| ≤ tolerance · (|b| + rms(b)) everywhere; integers exactly.
pub fn close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{what}: shape");
    if expected.dtype() == DType::I64 {
        let read = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<i64>().unwrap();
        assert_eq!(read(actual), read(expected), "{what}");
        return;
    }
    let read = |tensor: &Tensor| -> Vec<f64> {
        tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let (actual, expected) = (read(actual), read(expected));
    let squares: f64 = expected.iter().filter(|b| b.is_finite()).map(|b| b * b).sum();
    let rms = (squares / expected.len().max(1) as f64).sqrt();
    for (i, (a, b)) in actual.iter().zip(&expected).enumerate() {
        let same = (a - b).abs() <= tolerance * (b.abs() + rms) || a == b || (a.is_nan() && b.is_nan());
        assert!(same, "{what}: element {i} is {a}, the reference has {b}");
    }
}
