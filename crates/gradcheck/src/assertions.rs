//! What a right backward pass does beside giving the right numbers.

use crate::check::GradCheck;
use crate::error::Result;
use crate::function::{Function, Gradients, gradients, values, weighted_sum};
use crate::layouts;
use crate::random::Random;
use crate::report::{Assertion, Report};
use crate::run::Point;
use candle_core::{Tensor, Var};

/// Holds every assertion of `check`, given the gradients of a first backward pass.
pub(crate) fn hold(
    check: &GradCheck,
    f: &Function<'_>,
    point: &Point,
    first: &Gradients,
    report: &mut Report,
) -> Result<()> {
    shapes_and_dtypes(f, first, report);
    let checks: [(Assertion, Check); 7] = [
        (Assertion::Repeatable, repeatable),
        (Assertion::ZeroCotangent, zero_cotangent),
        (Assertion::Untracked, untracked),
        (Assertion::FanOut, fan_out),
        (Assertion::Linear, linear),
        (Assertion::InputLayout, layouts::inputs),
        (Assertion::CotangentLayout, layouts::cotangents),
    ];
    for (assertion, holds) in checks {
        if check.asserts(assertion) {
            holds(f, point, first, report)?;
        }
    }
    Ok(())
}

type Check = fn(&Function<'_>, &Point, &Gradients, &mut Report) -> Result<()>;

fn shapes_and_dtypes(f: &Function<'_>, first: &Gradients, report: &mut Report) {
    for (input, gradient) in f.inputs.iter().zip(first) {
        let Some(gradient) = gradient else { continue };
        if gradient.dims() != input.tensor.dims() {
            let detail = format!("{:?} for an input of {:?}", gradient.dims(), input.tensor.dims());
            report.fail(Assertion::Shape, Some(&input.name), detail);
        }
        if gradient.dtype() != input.tensor.dtype() {
            let detail = format!("{:?} for an input of {:?}", gradient.dtype(), input.tensor.dtype());
            report.fail(Assertion::DType, Some(&input.name), detail);
        }
    }
}

/// The same graph twice, then the whole computation again: the same bits each time.
fn repeatable(f: &Function<'_>, point: &Point, first: &Gradients, report: &mut Report) -> Result<()> {
    let mut arguments = f.tensors();
    for k in f.variables() {
        arguments[k] = Var::from_tensor(&arguments[k])?.as_tensor().clone();
    }
    let loss = weighted_sum(&f.value(&arguments)?, &point.cotangent)?;
    for pass in 0..3 {
        match gradients(&loss, &arguments) {
            Ok(again) => {
                let what = if pass == 0 { "a rebuilt graph gives" } else { "a second pass over one graph gives" };
                for k in f.variables() {
                    if bits(&again[k])? != bits(&first[k])? {
                        report.fail(Assertion::Repeatable, Some(&f.inputs[k].name), format!("{what} other bits"));
                        return Ok(());
                    }
                }
            }
            Err(failed) => {
                report.fail(Assertion::Repeatable, None, format!("repeated, {}", failed.0));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn bits(gradient: &Option<Tensor>) -> Result<Option<Vec<u64>>> {
    let Some(gradient) = gradient else { return Ok(None) };
    // A sum that starts from zero turns −0 into +0; either is right.
    Ok(Some(values(gradient)?.into_iter().map(|g| (g + 0.0).to_bits()).collect()))
}

fn zero_cotangent(f: &Function<'_>, point: &Point, _: &Gradients, report: &mut Report) -> Result<()> {
    match f.vjp(&f.all_tracked(), &point.cotangent.zeros_like()?)? {
        Ok(gradients) => {
            for (input, gradient) in f.inputs.iter().zip(&gradients) {
                let Some(gradient) = gradient else { continue };
                if let Some(g) = values(gradient)?.iter().find(|g| g.is_nan() || g.abs() > 0.0) {
                    report.fail(Assertion::ZeroCotangent, Some(&input.name), format!("gives {g:e}, not 0"));
                }
            }
        }
        Err(failed) => report.fail(Assertion::ZeroCotangent, None, failed.0),
    }
    Ok(())
}

/// Each input in turn untracked: the others' gradients must not change.
fn untracked(f: &Function<'_>, point: &Point, first: &Gradients, report: &mut Report) -> Result<()> {
    let variables = f.variables();
    for &without in variables.iter().filter(|_| variables.len() > 1) {
        let mut tracked = f.all_tracked();
        tracked[without] = false;
        let name = &f.inputs[without].name;
        let gradients = match f.vjp(&tracked, &point.cotangent)? {
            Ok(gradients) => gradients,
            Err(failed) => {
                report.fail(Assertion::Untracked, Some(name), format!("with it untracked, {}", failed.0));
                continue;
            }
        };
        if gradients[without].is_some() {
            let detail = "a gradient is computed though nothing tracks it: ask `arg.track_op()` in `bwd`";
            report.fail(Assertion::Wasted, Some(name), detail);
        }
        for &k in variables.iter().filter(|k| **k != without) {
            if let Some(difference) = difference(f, &gradients[k], &first[k])? {
                let detail =
                    format!("leaving it untracked changes the gradient of `{}` {difference}", f.inputs[k].name);
                report.fail(Assertion::Untracked, Some(name), detail);
            }
        }
    }
    Ok(())
}

/// ⟨f(z), c⟩ + ⟨z, r⟩ for a computed z, either term first: z must receive the sum of both gradients.
fn fan_out(f: &Function<'_>, point: &Point, first: &Gradients, report: &mut Report) -> Result<()> {
    for k in f.variables() {
        let input = &f.inputs[k];
        let r = f.like_input(k, Random::new(0xFA_4007).signed(input.tensor.elem_count()))?;
        let expected = match &first[k] {
            Some(gradient) if gradient.dims() == input.tensor.dims() => Some((gradient + &r)?),
            _ => continue,
        };
        for function_first in [true, false] {
            let leaf = Var::from_tensor(&input.tensor)?;
            let z = leaf.affine(1.0, 0.0)?;
            let mut arguments = f.tensors();
            arguments[k] = z.clone();
            let terms = [weighted_sum(&f.value(&arguments)?, &point.cotangent)?, weighted_sum(&z, &r)?];
            let loss = if function_first { (&terms[0] + &terms[1])? } else { (&terms[1] + &terms[0])? };
            match gradients(&loss, &[leaf.as_tensor().clone()]) {
                Ok(found) => {
                    if let Some(difference) = difference(f, &found[0], &expected)? {
                        let detail =
                            format!("used a second time elsewhere, its gradient is not the sum of both {difference}");
                        report.fail(Assertion::FanOut, Some(&input.name), detail);
                        break;
                    }
                }
                Err(failed) => {
                    report.fail(Assertion::FanOut, Some(&input.name), format!("of a computed input, {}", failed.0));
                    break;
                }
            }
        }
    }
    Ok(())
}

/// f(x + u) + f(x − u) = 2 f(x) along a random direction, in each input that was declared linear.
fn linear(f: &Function<'_>, point: &Point, _: &Gradients, report: &mut Report) -> Result<()> {
    for k in f.variables().into_iter().filter(|&k| f.inputs[k].linear) {
        let x = f.inputs[k].values()?;
        let u = Random::new(0x11AE_A12E).signed(x.len());
        let shifted = |sign: f64| f.value_with(k, x.iter().zip(&u).map(|(x, u)| x + sign * u).collect());
        let (above, below) = (shifted(1.0)?, shifted(-1.0)?);
        let scale = above.iter().chain(&below).chain(&point.y).fold(0.0, |largest: f64, y| largest.max(y.abs()));
        let curved = above.iter().zip(&below).zip(&point.y).any(|((a, b), y)| {
            let gap = (a + b - 2.0 * y).abs();
            gap.is_nan() || gap > summation(f, scale)
        });
        if curved {
            let detail = "f(x + u) + f(x − u) ≠ 2 f(x): the function is not linear in it; leave it out of `linear_in`";
            report.fail(Assertion::Linear, Some(&f.inputs[k].name), detail);
        }
    }
    Ok(())
}

/// How two gradients that should be the same differ, in words, if they do.
pub(crate) fn difference(
    f: &Function<'_>,
    found: &Option<Tensor>,
    expected: &Option<Tensor>,
) -> Result<Option<String>> {
    match (found, expected) {
        (None, None) => Ok(None),
        (Some(found), Some(expected)) => Ok(apart(f, &values(found)?, &values(expected)?)),
        (None, Some(expected)) => {
            let zero = values(expected)?.iter().all(|g| g.abs() <= 0.0);
            Ok((!zero).then(|| "(it is missing)".into()))
        }
        (Some(_), None) => Ok(Some("(one appears where there was none)".into())),
    }
}

/// What another order of summation may change in numbers of this size: where terms near 1 cancel, also in much smaller ones.
fn summation(f: &Function<'_>, scale: f64) -> f64 {
    f.epsilon() * (1e4 * scale + 64.0)
}

/// Where two lists of numbers differ by more than another order of summation explains.
pub(crate) fn apart(f: &Function<'_>, found: &[f64], expected: &[f64]) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("({} elements, expected {})", found.len(), expected.len()));
    }
    let scale = expected.iter().fold(0.0, |largest: f64, e| largest.max(e.abs()));
    let tolerance = summation(f, scale);
    let at = (0..found.len()).find(|&i| {
        let gap = (found[i] - expected[i]).abs();
        gap.is_nan() || gap > tolerance
    })?;
    Some(format!("(element {at}: {:e}, expected {:e})", found[at], expected[at]))
}
