//! Reads the reference vectors in `tests/golden/`.
//!
//! Each file was written by the reference from seeded random geometry, in float64: inputs, outputs, a cotangent and the
//! gradients it gives, or the error with which the reference refuses the call.

#![allow(clippy::float_cmp, reason = "infinities agree by equality")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "the unit tests of kernels and the tests of operators each use a part")]

use candle_core::{DType, Device, Tensor, WithDType};
use serde_json::Value;
use std::collections::HashMap;

/// One call of the operator and what the reference made of it.
pub struct Case {
    pub id: String,
    /// The reference's own keyword arguments.
    pub kwargs: Value,
    /// Why the reference refuses the call.
    pub error: Option<String>,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// The inputs whose gradients were asked for.
    pub grads: Vec<String>,
    /// Inputs and outputs by name, `cotangent`, and `grad_…` of each input in `grads`.
    pub tensors: HashMap<String, Tensor>,
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

    /// The extents of a tensor.
    pub fn dims(&self, name: &str) -> &[usize] {
        self.tensors[name].dims()
    }

    /// The elements of a tensor, row-major, as a kernel reads them.
    pub fn values<T: WithDType>(&self, name: &str) -> Vec<T> {
        self.tensors[name].to_dtype(T::DTYPE).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Holds what a kernel wrote to the tensor `name`, as [`close`] does.
    pub fn hold<T: WithDType>(&self, what: &str, name: &str, actual: &[T], tolerance: f64) {
        let actual = Tensor::from_slice(actual, self.dims(name), &Device::Cpu).unwrap();
        close(&format!("{what}: {} {name} {}", self.id, self.kwargs), &actual, &self.tensors[name], tolerance);
    }

    pub fn flag(&self, name: &str) -> bool {
        self.kwargs[name].as_bool().unwrap_or_else(|| panic!("{}: {name} is no flag", self.id))
    }
}

/// Every case of `tests/golden/<op>.safetensors`.
pub fn read(op: &str) -> Vec<Case> {
    // Cargo runs tests in their package's folder; tools/gpu-check in one that has these files at the same place.
    let path = format!("tests/golden/{op}.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["op"], op);
    let mut tensors: HashMap<String, HashMap<String, Tensor>> = HashMap::new();
    for (name, tensor) in candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap() {
        let (id, name) = name.split_once('.').unwrap();
        tensors.entry(id.to_string()).or_default().insert(name.to_string(), tensor);
    }
    let cases: Vec<Value> = serde_json::from_str(&metadata["cases"]).unwrap();
    let case = |case: &Value| {
        let names = |key: &str| -> Vec<String> {
            case[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
        };
        let id = case["id"].as_str().unwrap().to_string();
        Case {
            kwargs: case["kwargs"].clone(),
            error: case["error"].as_str().map(str::to_string),
            inputs: names("inputs"),
            outputs: names("outputs"),
            grads: names("grads"),
            tensors: tensors.remove(&id).unwrap_or_default(),
            id,
        }
    };
    cases.iter().map(case).collect()
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
