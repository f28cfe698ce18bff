//! The check of a whole model: gradients of a scalar loss, rounded as training rounds it, against differences of that loss.

use crate::check::GradCheck;
use crate::elements::{Judged, Outcome};
use crate::error::{Error, Result};
use crate::function::{multi_index, values};
use crate::pattern;
use crate::random::Random;
use crate::report::{Assertion, Element, InputReport, Report};
use candle_core::{DType, Tensor};
use std::ops::Range;

/// The elements of each input that are looked at one by one: so many of the largest gradients, and as many others.
const ELEMENTS: usize = 4;
/// The directions within each input, unless the builder says how many.
const DIRECTIONS: usize = 4;
/// The evaluations that rounding is measured by.
const NOISE_EVALUATIONS: usize = 8;
/// What is said of an input at which nothing could be told.
const TOO_COARSE: &str =
    "the loss is too coarse, or too little curved by it, to tell a right gradient from a wrong one";

impl GradCheck {
    /// Holds `gradients`, which a training step came to, against differences of its `loss`, which is only ever evaluated: at
    /// the inputs, and with one of them changed. For a model as it trains, in float32, in all its layers together.
    ///
    /// Of each input these derivatives are looked at: along the signs of the gradient, in two random halves of the elements, which
    /// tells a wrong factor or a wrong place most sharply; along [`directions`](Self::directions) random signs (4 by default), which
    /// tell what the gradient lacks; and at the 4 elements of the largest gradients and 4 others. Where a direction is wrong it is
    /// halved until the wrong elements are found.
    ///
    /// # Formula
    /// Central differences d(h) over steps h that are halved from a part of the input's root mean square on; of each three in a
    /// row the extrapolation `(4·d(h/2) − d(h)) / 3`, off by at most four times the spread of the last two and their
    /// extrapolations, and by what rounding makes of it. That is measured: it is the spread of the loss over changes of the input so
    /// small that they could not be seen otherwise. A loss of float32 has a noise of some 1e-7 of itself, and kinks of rectified and
    /// pooled units on every path: at large steps these show in the spread, at small ones the noise does.
    ///
    /// A derivative's scale is the norm of the gradient along the direction, or the derivative itself where that is more. It is
    /// *right* where the gradient agrees with an estimate whose error is at most 5 % of the scale (in float64 0.1 %), and *wrong*
    /// where it agrees with none of error up to half the scale, and is off by more than a kink explains: by more than half the
    /// difference of the two one-sided slopes. Where such a kink is seen the loss is *not differentiable*, as in
    /// [`check`](Self::check). All else is *unresolved*: the notes tell of it, and it fails only where nothing else is left.
    ///
    /// # Errors
    /// When the loss fails or is not finite, or there is no float input. A wrong gradient is a failure of the report, not an error.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let w = Tensor::new(&[0.5f32, -1.25, 2.0], &Device::Cpu)?;
    /// let loss = |w: &[Tensor]| w[0].sqr()?.mean_all()?.to_scalar::<f32>().map(f64::from);
    /// let gradient = (&w * (2.0 / 3.0))?;
    /// let check = GradCheck::new("model").input_names(["w"]);
    /// check.check_loss(loss, &[w.clone()], &[Some(gradient.clone())]).unwrap().assert_passed();
    ///
    /// let report = check.check_loss(loss, &[w], &[Some((gradient / 2.0)?)]).unwrap();
    /// assert!(!report.passed());
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn check_loss(
        &self,
        mut loss: impl FnMut(&[Tensor]) -> candle_core::Result<f64>,
        inputs: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Report> {
        if !inputs.iter().any(|input| input.dtype().is_float()) {
            return Err(Error::NothingToCheck { name: self.name.clone() });
        }
        let mut report = self.empty_report();
        let mut random = Random::new(self.seed ^ 0x1055_C4EC);
        let mut resolved = 0;
        for (k, input) in inputs.iter().enumerate().filter(|(_, input)| input.dtype().is_float()) {
            let gradient = gradients.get(k).and_then(Option::as_ref);
            let mut point = LossAt::new(self, &mut loss, inputs, k, gradient)?;
            let mut found = InputReport {
                name: self.input_name(k),
                shape: input.dims().to_vec(),
                elements: 0,
                wrong: 0,
                not_differentiable: 0,
                unresolved: 0,
                missing: gradient.is_none(),
                worst: Vec::new(),
                pattern: None,
            };
            point.compare(&mut found, &mut random)?;
            resolved += found.elements - found.unresolved;
            report.inputs.push(found);
        }
        report.judge_loss(resolved);
        report.failures.retain(|failure| self.asserts(failure.assertion));
        Ok(report)
    }
}

/// The loss around one point, along directions within one input.
struct LossAt<'a> {
    check: &'a GradCheck,
    loss: &'a mut dyn FnMut(&[Tensor]) -> candle_core::Result<f64>,
    inputs: Vec<Tensor>,
    k: usize,
    x: Vec<f64>,
    gradient: Vec<f64>,
    /// The loss at the point.
    value: f64,
    /// The standard deviation of the loss's rounding.
    noise: f64,
    /// What steps are measured in: the input's root mean square.
    unit: f64,
}

/// A derivative along a direction by differences, and how far it may be off.
#[derive(Clone, Copy)]
struct Estimate {
    value: f64,
    error: f64,
    /// The difference of the two one-sided derivatives.
    gap: f64,
    /// How far that may be off.
    gap_noise: f64,
}

impl<'a> LossAt<'a> {
    fn new(
        check: &'a GradCheck,
        loss: &'a mut dyn FnMut(&[Tensor]) -> candle_core::Result<f64>,
        inputs: &[Tensor],
        k: usize,
        gradient: Option<&Tensor>,
    ) -> Result<Self> {
        let x = values(&inputs[k])?;
        let gradient = match gradient {
            Some(gradient) if gradient.elem_count() == x.len() => values(gradient)?,
            _ => vec![0.0; x.len()],
        };
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len().max(1) as f64;
        let unit = if square > 0.0 { square.sqrt() } else { 1.0 / 32.0 };
        let mut point = Self { check, loss, inputs: inputs.to_vec(), k, x, gradient, value: 0.0, noise: 0.0, unit };
        point.value = point.at(&[], 0.0)?;
        point.noise = point.measured_noise()?;
        Ok(point)
    }

    fn epsilon(&self) -> f64 {
        if self.inputs[self.k].dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) }
    }

    fn is_double(&self) -> bool {
        self.inputs[self.k].dtype() == DType::F64
    }

    /// The loss at x + h·u; a direction that is empty stays at x.
    fn at(&mut self, u: &[f64], h: f64) -> Result<f64> {
        let input = &self.inputs[self.k];
        let (shape, dtype, device) = (input.shape().clone(), input.dtype(), input.device().clone());
        let mut moved = self.x.clone();
        moved.iter_mut().zip(u).for_each(|(x, u)| *x += h * u);
        let mut arguments = self.inputs.clone();
        arguments[self.k] = Tensor::from_vec(moved, shape, &device)?.to_dtype(dtype)?;
        let name = &self.check.name;
        let value = (self.loss)(&arguments).map_err(|source| Error::Function { name: name.clone(), source })?;
        if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { name: name.clone(), index: vec![], value }) }
    }

    /// ⟨gradient, the way from x − h·u to x + h·u⟩, both as the dtype holds them.
    fn rounded_step(&self, u: &[f64], h: f64) -> f64 {
        let round = |x: f64| if self.is_double() { x } else { f64::from(x as f32) };
        let way =
            |((x, u), g): ((&f64, &f64), &f64)| if *u == 0.0 { 0.0 } else { g * (round(x + h * u) - round(x - h * u)) };
        self.x.iter().zip(u).zip(&self.gradient).map(way).sum()
    }

    /// The spread of the loss over steps of a few roundings of the input each, but at least half a rounding of the loss.
    fn measured_noise(&mut self) -> Result<f64> {
        let u = Random::new(self.check.seed).signed(self.x.len());
        let step = 4.0 * self.epsilon() * self.unit;
        let mut losses = vec![self.value];
        for i in 1..NOISE_EVALUATIONS {
            losses.push(self.at(&u, i as f64 * step)?);
        }
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (losses.len() - 1) as f64;
        Ok(variance.sqrt().max(0.5 * self.epsilon() * self.value.abs()))
    }

    fn compare(&mut self, report: &mut InputReport, random: &mut Random) -> Result<()> {
        let mut wrong = Vec::new();
        for u in self.directions(random) {
            let judged = self.judge(&u, 0..u.len())?;
            report.count(judged.outcome);
            if judged.outcome == Outcome::Wrong && wrong.is_empty() {
                self.narrow(&u, 0..u.len(), &mut wrong)?;
            }
        }
        for flat in self.sampled(random) {
            let judged = self.judge(&[1.0], flat..flat + 1)?;
            report.count(judged.outcome);
            if judged.outcome == Outcome::Wrong && wrong.iter().all(|(other, _)| *other != flat) {
                wrong.push((flat, judged));
            }
        }
        let alike: Vec<Judged> = wrong.iter().map(|(_, judged)| *judged).collect();
        report.pattern = pattern::factor(&alike).map(|factor| format!("{factor} (at the elements shown)"));
        report.worst = wrong.iter().map(|(flat, judged)| self.element(*flat, judged)).collect();
        report.worst.sort_by(|a, b| b.error_ratio().total_cmp(&a.error_ratio()));
        report.worst.truncate(self.check.worst);
        Ok(())
    }

    /// Along the gradient's signs in two halves, and along random signs.
    fn directions(&self, random: &mut Random) -> Vec<Vec<f64>> {
        let extent = self.x.len();
        if extent == 0 {
            return Vec::new();
        }
        let half = random.signed(extent);
        let aligned = [1.0, -1.0].map(|side: f64| {
            let sign = |(g, half): (&f64, &f64)| if half * side > 0.0 && *g != 0.0 { g.signum() } else { 0.0 };
            self.gradient.iter().zip(&half).map(sign).collect::<Vec<f64>>()
        });
        let aligned = aligned.into_iter().filter(|u| u.iter().any(|u| *u != 0.0));
        let count = self.check.directions.unwrap_or(DIRECTIONS);
        aligned.chain((0..count).map(|_| random.signed(extent))).collect()
    }

    /// The elements of the largest gradients, and others.
    fn sampled(&self, random: &mut Random) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.x.len()).collect();
        order.sort_by(|a, b| self.gradient[*b].abs().total_cmp(&self.gradient[*a].abs()));
        let mut sampled: Vec<usize> = order.iter().take(ELEMENTS).copied().collect();
        if self.x.len() > ELEMENTS {
            let others = (0..ELEMENTS).map(|_| order[ELEMENTS + random.word() as usize % (order.len() - ELEMENTS)]);
            sampled.extend(others);
        }
        sampled.sort_unstable();
        sampled.dedup();
        sampled
    }

    /// Halves a direction that is wrong until the elements are found that are.
    fn narrow(&mut self, u: &[f64], range: Range<usize>, found: &mut Vec<(usize, Judged)>) -> Result<()> {
        if found.len() >= self.check.worst {
            return Ok(());
        }
        let judged = self.judge(&u[range.clone()], range.clone())?;
        if judged.outcome != Outcome::Wrong {
            return Ok(());
        }
        if range.len() == 1 {
            // Along −1 or 1: the report tells the derivative by the element itself.
            let sign = u[range.start];
            found.push((
                range.start,
                Judged { analytic: sign * judged.analytic, numeric: sign * judged.numeric, ..judged },
            ));
            return Ok(());
        }
        let middle = range.start + range.len() / 2;
        self.narrow(u, range.start..middle, found)?;
        self.narrow(u, middle..range.end, found)
    }

    /// Holds the gradient against differences along `u`, which lies in `range`.
    fn judge(&mut self, u: &[f64], range: Range<usize>) -> Result<Judged> {
        let part = &self.gradient[range.clone()];
        let analytic: f64 = part.iter().zip(u).map(|(g, u)| g * u).sum();
        let along = part.iter().zip(u).map(|(g, u)| (g * u).powi(2)).sum::<f64>().sqrt();
        // An element's own gradient may be 0 by right; those of all the others tell what size counts.
        let typical = (self.gradient.iter().map(|g| g * g).sum::<f64>() / self.x.len().max(1) as f64).sqrt();
        let mut direction = vec![0.0; self.x.len()];
        direction[range].copy_from_slice(u);

        let mut judged = Judged { outcome: Outcome::Unresolved, analytic, numeric: f64::NAN, tolerance: f64::INFINITY };
        // Whether the two slopes of a kink, seen or hidden by the noise, could explain what is wrong.
        let (mut explained, mut kink, mut near) = (true, false, false);
        let finest = if self.is_double() { 1e-3 } else { 0.05 };
        for Estimate { value, error, gap, gap_noise } in self.estimates(&direction, analytic)? {
            let scale = along.max(typical).max(analytic.abs()).max(value.abs());
            let tolerance = error + self.check.relative * scale + self.check.absolute;
            let away = (analytic - value).abs();
            if tolerance > finest * scale {
                near |= tolerance <= 0.5 * scale && away <= tolerance;
                continue;
            }
            if away <= tolerance {
                return Ok(Judged { outcome: Outcome::Right, numeric: value, tolerance, ..judged });
            }
            explained &= away <= tolerance + (gap.abs() + gap_noise) / 2.0;
            kink |= gap.abs() > gap_noise;
            if tolerance < judged.tolerance {
                judged = Judged { outcome: Outcome::Wrong, numeric: value, tolerance, ..judged };
            }
        }
        if judged.outcome == Outcome::Wrong && (explained || near) {
            judged.outcome = if explained && kink { Outcome::Kink } else { Outcome::Unresolved };
        }
        Ok(judged)
    }

    fn estimates(&mut self, direction: &[f64], analytic: f64) -> Result<Vec<Estimate>> {
        let (first, last) = if self.is_double() { (10, 22) } else { (4, 15) };
        let mut steps = Vec::new();
        for exponent in first..=last {
            let h = self.unit * f64::from(-exponent).exp2();
            let (above, below) = (self.at(direction, h)?, self.at(direction, -h)?);
            // The inputs round: they are not quite where they were sent, which matters at the smallest steps.
            let sent = self.rounded_step(direction, h) / (2.0 * h) - analytic;
            steps.push((h, (above - below) / (2.0 * h) - sent, (above - 2.0 * self.value + below) / h));
        }
        let estimate = |three: &[(f64, f64, f64)]| {
            let [d0, d1, d2] = [three[0].1, three[1].1, three[2].1];
            let (r1, r2) = ((4.0 * d1 - d0) / 3.0, (4.0 * d2 - d1) / 3.0);
            let all = [d1, d2, r1, r2];
            let spread = all.iter().fold(f64::MIN, |a, b| a.max(*b)) - all.iter().fold(f64::MAX, |a, b| a.min(*b));
            // Four standard deviations of the extrapolation, of which d2 has the largest part.
            let rounding = 4.0 * 2.0 * self.noise / (2.0 * three[2].0);
            let gap_noise = 4.0 * 2.5 * self.noise / three[2].0;
            Estimate { value: r2, error: 4.0 * spread + rounding, gap: three[2].2, gap_noise }
        };
        Ok(steps.windows(3).map(estimate).collect())
    }

    fn element(&self, flat: usize, judged: &Judged) -> Element {
        Element {
            input: self.k,
            input_name: self.check.input_name(self.k),
            index: multi_index(flat, self.inputs[self.k].dims()),
            analytic: judged.analytic,
            numeric: judged.numeric,
            tolerance: judged.tolerance,
        }
    }
}

impl Report {
    fn judge_loss(&mut self, resolved: usize) {
        for input in self.inputs.clone() {
            let InputReport { name, wrong, elements, unresolved, missing, pattern, .. } = input;
            if missing && wrong > 0 {
                let detail = "no gradient arrives, though the loss depends on it: the graph is severed (a `detach`, or an \
                              operator whose backward returns nothing)";
                self.fail(Assertion::Connected, Some(&name), detail);
            } else if wrong > 0 {
                let pattern = pattern.map(|pattern| format!("; {pattern}")).unwrap_or_default();
                self.fail(
                    Assertion::Gradient,
                    Some(&name),
                    format!("{wrong} of {elements} derivatives are wrong{pattern}"),
                );
            }
            if unresolved > 0 {
                self.notes.push(format!("`{name}`: {unresolved} of {elements} derivatives are unresolved"));
            }
        }
        if resolved == 0 {
            self.fail(Assertion::Resolved, None, TOO_COARSE);
        }
    }
}
