//! The element-wise check: every analytic derivative against a measured one.

use crate::check::{GradCheck, Kinks};
use crate::error::Result;
use crate::function::{Function, multi_index, values};
use crate::numeric::{Differences, Direction, Estimate};
use crate::pattern;
use crate::report::{Element, InputReport};
use candle_core::Tensor;

/// How one element fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Analytic and numeric agree.
    Right,
    /// They do not.
    Wrong,
    /// The one-sided derivatives differ here.
    Kink,
    /// The differences settle at no step.
    Unresolved,
}

/// One derivative with its verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) analytic: f64,
    pub(crate) numeric: f64,
    pub(crate) tolerance: f64,
}

/// Compares the gradient of every input element by element.
///
/// A missing gradient counts as zero: where the measured one is zero too, nothing is wrong.
pub(crate) fn compare(
    check: &GradCheck,
    f: &Function<'_>,
    (y, cotangent): (&[f64], &[f64]),
    gradients: &[Option<Tensor>],
) -> Result<Vec<InputReport>> {
    let mut reports = Vec::new();
    for k in f.variables() {
        let elements = f.inputs[k].tensor.elem_count();
        let analytic = match &gradients[k] {
            Some(gradient) if gradient.elem_count() == elements => values(gradient)?,
            _ => vec![0.0; elements],
        };
        let differences = Differences::new(f, k, y, cotangent)?;
        let largest = analytic.iter().filter(|a| a.is_finite()).fold(0.0, |largest: f64, a| largest.max(a.abs()));
        let judge = Judge::new(check, f, &differences, largest);
        let judged =
            (0..elements).map(|i| judge.along(Direction::Element(i), analytic[i])).collect::<Result<Vec<_>>>()?;
        reports.push(input_report(check, f, k, &judged, gradients[k].is_none()));
    }
    Ok(reports)
}

/// What decides whether one derivative is right.
pub(crate) struct Judge<'a> {
    check: &'a GradCheck,
    differences: &'a Differences<'a>,
    epsilon: f64,
    linear: bool,
    /// The size of the analytic derivatives: sums of such terms round at this scale.
    scale: f64,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(check: &'a GradCheck, f: &Function<'_>, differences: &'a Differences<'a>, scale: f64) -> Self {
        Self { check, differences, epsilon: f.epsilon(), linear: differences.linear(), scale }
    }

    /// Holds `analytic` against differences along `direction`.
    pub(crate) fn along(&self, direction: Direction<'_>, analytic: f64) -> Result<Judged> {
        let mut judged = Judged { outcome: Outcome::Unresolved, analytic, numeric: f64::NAN, tolerance: f64::NAN };
        for estimate in self.differences.estimates(direction) {
            let estimate = estimate?;
            if !self.resolves(&estimate, analytic) {
                continue;
            }
            let tolerance = self.tolerance(&estimate);
            // The first step that resolves is the sharpest. A smaller one replaces it only where it contradicts it, which
            // means that the larger one stepped over a kink.
            let same = judged.outcome != Outcome::Unresolved
                && (estimate.value - judged.numeric).abs() <= tolerance + judged.tolerance;
            if same {
                continue;
            }
            let right = (analytic - estimate.value).abs() <= tolerance;
            let outcome = if right { Outcome::Right } else { Outcome::Wrong };
            judged = Judged { outcome, numeric: estimate.value, tolerance, ..judged };
            if right {
                return Ok(judged);
            }
        }
        if let Some(kink) = self.differences.kink(direction)? {
            judged.numeric = (kink.left + kink.right) / 2.0;
            judged.tolerance = (kink.left - kink.right).abs() / 2.0 * (1.0 + 1e-6);
            let within = (analytic - judged.numeric).abs() <= judged.tolerance;
            let accepted = self.check.kinks == Kinks::Skip || within;
            judged.outcome = if accepted { Outcome::Kink } else { Outcome::Wrong };
        }
        Ok(judged)
    }

    fn tolerance(&self, estimate: &Estimate) -> f64 {
        let rounding = 64.0 * self.epsilon * self.scale;
        let linear = 256.0 * self.epsilon;
        let relative = if self.linear { self.check.relative.min(linear) } else { self.check.relative };
        self.check.absolute + relative * estimate.value.abs() + estimate.error + rounding
    }

    /// An estimate too rough to tell a wrong gradient from a right one is none.
    fn resolves(&self, estimate: &Estimate, analytic: f64) -> bool {
        let scale = self.scale.max(analytic.abs()).max(estimate.value.abs());
        let rough = 1e-3_f64.max(16.0 * self.check.relative);
        estimate.value.is_finite() && estimate.error <= rough * scale + self.differences.floor() + self.check.absolute
    }
}

/// Gathers the verdicts on one input.
pub(crate) fn input_report(
    check: &GradCheck,
    f: &Function<'_>,
    k: usize,
    judged: &[Judged],
    missing: bool,
) -> InputReport {
    let mut report = InputReport::new(f, k, missing);
    judged.iter().for_each(|judged| report.count(judged.outcome));
    report.pattern = pattern::describe(judged, f.inputs[k].tensor.dims());
    let settled = judged.iter().enumerate().filter(|(_, j)| matches!(j.outcome, Outcome::Right | Outcome::Wrong));
    report.worst = settled.map(|(flat, judged)| element(f, k, flat, judged)).collect();
    report.worst.sort_by(|a, b| b.error_ratio().total_cmp(&a.error_ratio()));
    report.worst.truncate(check.worst);
    report
}

/// One verdict as the report shows it.
pub(crate) fn element(f: &Function<'_>, k: usize, flat: usize, judged: &Judged) -> Element {
    Element {
        input: k,
        input_name: f.inputs[k].name.clone(),
        index: multi_index(flat, f.inputs[k].tensor.dims()),
        analytic: judged.analytic,
        numeric: judged.numeric,
        tolerance: judged.tolerance,
    }
}

impl InputReport {
    pub(crate) fn new(f: &Function<'_>, k: usize, missing: bool) -> Self {
        Self {
            name: f.inputs[k].name.clone(),
            shape: f.inputs[k].tensor.dims().to_vec(),
            elements: 0,
            wrong: 0,
            not_differentiable: 0,
            unresolved: 0,
            missing,
            worst: Vec::new(),
            pattern: None,
        }
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.elements += 1;
        match outcome {
            Outcome::Right => (),
            Outcome::Wrong => self.wrong += 1,
            Outcome::Kink => self.not_differentiable += 1,
            Outcome::Unresolved => self.unresolved += 1,
        }
    }
}
