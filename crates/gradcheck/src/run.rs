//! One check from the function to the report.

use crate::assertions;
use crate::check::GradCheck;
use crate::directions;
use crate::elements;
use crate::error::{Error, Result};
use crate::function::{Function, Input, multi_index, values};
use crate::random::Random;
use crate::report::{Assertion, Failure, Report};
use candle_core::{DType, Tensor};

impl GradCheck {
    pub(crate) fn asserts(&self, assertion: Assertion) -> bool {
        !self.skipped.contains(&assertion)
    }

    pub(crate) fn empty_report(&self) -> Report {
        Report { name: self.name.clone(), seed: self.seed, inputs: Vec::new(), failures: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn run(&self, f: &Function<'_>) -> Result<Report> {
        let mut report = self.empty_report();
        let point = Point::new(self, f)?;
        if self.asserts(Assertion::Deterministic) && values(&f.value(&f.tensors())?)? != point.y {
            let detail = "two calls with the same inputs differ, so no difference can be measured; fix what it samples";
            report.fail(Assertion::Deterministic, None, detail);
            return Ok(report);
        }
        let gradients = match f.vjp(&f.all_tracked(), &point.cotangent)? {
            Ok(gradients) => gradients,
            Err(failed) => {
                report.fail(Assertion::Backward, None, failed.0);
                return Ok(report);
            }
        };
        let measured = (point.y.as_slice(), point.weights.as_slice());
        report.inputs = match self.directions {
            None => elements::compare(self, f, measured, &gradients)?,
            Some(count) => directions::compare(self, f, count, measured, &gradients)?,
        };
        report.judge_inputs();
        assertions::hold(self, f, &point, &gradients, &mut report)?;
        report.failures.retain(|failure| self.asserts(failure.assertion));
        report.failures.sort_by_key(|failure| failure.assertion);
        Ok(report)
    }

    pub(crate) fn function<'a>(
        &self,
        call: &'a dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>,
        inputs: &[Tensor],
    ) -> Result<Function<'a>> {
        if !matches!(self.dtype, DType::F64 | DType::F32) {
            return Err(Error::UnsupportedDType { name: self.name.clone(), dtype: self.dtype });
        }
        for (option, named) in [("linear_in", &self.linear), ("constant", &self.constant)] {
            if let Some(&input) = named.iter().find(|input| **input >= inputs.len()) {
                return Err(Error::NoSuchInput { name: self.name.clone(), option, input, inputs: inputs.len() });
            }
        }
        let input = |(k, tensor): (usize, &Tensor)| -> Result<Input> {
            let float = tensor.dtype().is_float();
            // A tracked input would lead the backward pass on into the caller's graph.
            let tensor =
                if float { tensor.to_dtype(self.dtype)? } else { tensor.clone() }.detach().force_contiguous()?;
            Ok(Input {
                name: self.input_name(k),
                tensor,
                differentiated: float && !self.constant.contains(&k),
                linear: self.linear.contains(&k),
            })
        };
        let inputs = inputs.iter().enumerate().map(input).collect::<Result<Vec<_>>>()?;
        if !inputs.iter().any(|input| input.differentiated) {
            return Err(Error::NothingToCheck { name: self.name.clone() });
        }
        Ok(Function { name: self.name.clone(), call, inputs, dtype: self.dtype })
    }
}

/// The point where the gradient is checked: the function's value there, and the cotangent.
pub(crate) struct Point {
    pub(crate) y: Vec<f64>,
    pub(crate) y_dims: Vec<usize>,
    pub(crate) weights: Vec<f64>,
    pub(crate) cotangent: Tensor,
}

impl Point {
    pub(crate) fn new(check: &GradCheck, f: &Function<'_>) -> Result<Self> {
        let tensor = f.value(&f.tensors())?;
        let y = values(&tensor)?;
        if let Some(flat) = y.iter().position(|y| !y.is_finite()) {
            let index = multi_index(flat, tensor.dims());
            return Err(Error::NotFinite { name: f.name.clone(), index, value: y[flat] });
        }
        let weights = Random::new(check.seed).signed(y.len());
        let cotangent = Tensor::from_slice(&weights, tensor.shape(), tensor.device())?.to_dtype(f.dtype)?;
        Ok(Self { y, y_dims: tensor.dims().to_vec(), weights, cotangent })
    }
}

impl Report {
    pub(crate) fn fail(&mut self, assertion: Assertion, input: Option<&str>, detail: impl Into<String>) {
        self.failures.push(Failure { assertion, input: input.map(Into::into), detail: detail.into() });
    }

    /// Turns what was counted of each input into failures.
    pub(crate) fn judge_inputs(&mut self) {
        for input in self.inputs.clone() {
            let name = Some(input.name.as_str());
            if input.missing && input.wrong > 0 {
                let detail = "no gradient arrives, though the value depends on it: the graph is severed (a `detach`, or an \
                              operator whose backward returns nothing)";
                self.fail(Assertion::Connected, name, detail);
            } else if input.wrong > 0 {
                let pattern = input.pattern.as_ref().map(|pattern| format!("; {pattern}")).unwrap_or_default();
                let detail = format!("{} of {} derivatives are wrong{pattern}", input.wrong, input.elements);
                self.fail(Assertion::Gradient, name, detail);
            } else if input.missing && input.elements > 0 {
                self.notes
                    .push(format!("no gradient arrives at `{}`, and the value does not change with it", input.name));
            }
            if input.unresolved > 0 {
                let detail = format!(
                    "at {} of {} elements the differences converge at no step: is the value rounded, noisy or near a pole?",
                    input.unresolved, input.elements
                );
                self.fail(Assertion::Resolved, name, detail);
            }
        }
    }
}
