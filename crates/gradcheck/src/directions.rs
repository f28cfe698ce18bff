//! The fast check: derivatives along random signed directions, narrowed down to the element where one is wrong.

use crate::check::GradCheck;
use crate::elements::{Judge, Judged, Outcome, element};
use crate::error::Result;
use crate::function::{Function, values};
use crate::numeric::{Differences, Direction};
use crate::pattern;
use crate::random::Random;
use crate::report::InputReport;
use candle_core::Tensor;
use std::ops::Range;

/// Compares `⟨Jᵀc, u⟩` with `⟨J u, c⟩` for `directions` random u within each input.
pub(crate) fn compare(
    check: &GradCheck,
    f: &Function<'_>,
    directions: usize,
    (y, cotangent): (&[f64], &[f64]),
    gradients: &[Option<Tensor>],
) -> Result<Vec<InputReport>> {
    let mut random = Random::new(check.seed ^ 0xD1EC_7104);
    let mut reports = Vec::new();
    for k in f.variables() {
        let extent = f.inputs[k].tensor.elem_count();
        let analytic = match &gradients[k] {
            Some(gradient) if gradient.elem_count() == extent => values(gradient)?,
            _ => vec![0.0; extent],
        };
        let differences = Differences::new(f, k, y, cotangent)?;
        let norm = analytic.iter().map(|a| a * a).sum::<f64>().sqrt();
        let judge = Judge::new(check, f, &differences, norm);
        let mut narrow = Narrow { judge, analytic: &analytic, found: Vec::new(), limit: check.worst };
        let mut report = InputReport::new(f, k, gradients[k].is_none());
        for _ in 0..if extent == 0 { 0 } else { directions } {
            let u = random.signed(extent);
            let judged = narrow.judged(&u, 0..extent)?;
            report.count(judged.outcome);
            if judged.outcome == Outcome::Wrong && narrow.found.is_empty() {
                narrow.down(&u, 0..extent)?;
            }
        }
        let alike: Vec<Judged> = narrow.found.iter().map(|(_, judged)| *judged).collect();
        report.pattern = pattern::factor(&alike).map(|factor| format!("{factor} (at the elements shown)"));
        report.worst = narrow.found.iter().map(|(flat, judged)| element(f, k, *flat, judged)).collect();
        report.worst.sort_by(|a, b| b.error_ratio().total_cmp(&a.error_ratio()));
        reports.push(report);
    }
    Ok(reports)
}

/// Finds wrong elements by halving a direction along which the derivative is wrong.
struct Narrow<'a> {
    judge: Judge<'a>,
    analytic: &'a [f64],
    found: Vec<(usize, Judged)>,
    limit: usize,
}

impl Narrow<'_> {
    /// The verdict along `u` restricted to `range`.
    fn judged(&self, u: &[f64], range: Range<usize>) -> Result<Judged> {
        if range.len() == 1 {
            return self.judge.along(Direction::Element(range.start), self.analytic[range.start]);
        }
        let analytic = range.clone().map(|i| self.analytic[i] * u[i]).sum();
        let part: Vec<f64> = u.iter().enumerate().map(|(i, u)| if range.contains(&i) { *u } else { 0.0 }).collect();
        self.judge.along(Direction::Along(&part), analytic)
    }

    fn down(&mut self, u: &[f64], range: Range<usize>) -> Result<()> {
        if self.found.len() >= self.limit {
            return Ok(());
        }
        let judged = self.judged(u, range.clone())?;
        if judged.outcome != Outcome::Wrong {
            return Ok(());
        }
        if range.len() == 1 {
            self.found.push((range.start, judged));
            return Ok(());
        }
        let middle = range.start + range.len() / 2;
        self.down(u, range.start..middle)?;
        self.down(u, middle..range.end)
    }
}
