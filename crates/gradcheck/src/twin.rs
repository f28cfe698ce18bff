//! float32 held against its float64 twin: the same numbers, twice the precision.

use crate::check::GradCheck;
use crate::elements::{Judged, Outcome, input_report};
use crate::error::Result;
use crate::function::{Function, Input, values};
use crate::report::{Assertion, Report};
use crate::run::Point;
use candle_core::{DType, Tensor};

/// How many roundings of the sum of the terms' sizes a gradient that is linear in all inputs may be off by.
const ROUNDINGS: f64 = 64.0;
/// The same of the largest derivative, where the terms are not known.
const ROUNDINGS_OF_LARGEST: f64 = 1024.0;

impl GradCheck {
    /// Compares the value and the gradients in float32 with those in float64, from the same inputs and cotangent.
    ///
    /// Differences in float32 are too rough to check a kernel of that dtype; its float64 twin, which
    /// [`check`](Self::check) has proven, is not. With ε = 2⁻²³ a derivative may be off by 64·ε·Σ|aᵢbᵢ|, the sum of the
    /// sizes of its terms (measured with the inputs' and the cotangent's absolute values) where the function is declared
    /// [linear](Self::linear_in) in every input; else by 1024·ε of the largest derivative.
    ///
    /// In the report *analytic* is the float32 result and *numeric* its twin.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use taper_gradcheck::GradCheck;
    ///
    /// let x = Tensor::new(&[[0.5f32, -2.], [3., 4.]], &Device::Cpu)?;
    /// GradCheck::new("tanh").check_float32(|x: &[Tensor]| x[0].tanh(), &[x]).unwrap().assert_passed();
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn check_float32<F, E>(&self, f: F, inputs: &[Tensor]) -> Result<Report>
    where
        F: Fn(&[Tensor]) -> Result<Tensor, E>,
        E: Into<candle_core::Error>,
    {
        let call = |arguments: &[Tensor]| f(arguments).map_err(Into::into);
        let (check, twin_check) = (self.clone().dtype(DType::F32), self.clone().dtype(DType::F64));
        let single = check.function(&call, inputs)?;
        let twin = twin_check.function(&call, &single.tensors())?;
        let mut report = self.empty_report();
        report.name = format!("{}, float32 against float64", self.name);
        let (point, twin_point) = (Point::new(&check, &single)?, Point::new(&twin_check, &twin)?);
        values_agree(&point, &twin_point, &mut report);

        let vjps = (
            single.vjp(&single.all_tracked(), &point.cotangent)?,
            twin.vjp(&twin.all_tracked(), &twin_point.cotangent)?,
        );
        let (found, expected) = match vjps {
            (Ok(found), Ok(expected)) => (found, expected),
            (Err(failed), _) | (_, Err(failed)) => {
                report.fail(Assertion::Backward, None, failed.0);
                return Ok(report);
            }
        };
        let sizes = term_sizes(&twin, &twin_point)?;
        for k in twin.variables() {
            let missing = |gradient: &Option<Tensor>| match gradient {
                Some(gradient) => values(gradient),
                None => Ok(vec![0.0; twin.inputs[k].tensor.elem_count()]),
            };
            let (found, expected) = (missing(&found[k])?, missing(&expected[k])?);
            let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
            let epsilon = single.epsilon();
            let judge = |i: usize| {
                let tolerance = match &sizes {
                    Some(sizes) => epsilon * (ROUNDINGS * sizes[k][i].abs() + 4.0 * largest),
                    None => epsilon * ROUNDINGS_OF_LARGEST * largest,
                };
                let right = (found[i] - expected[i]).abs() <= tolerance;
                let outcome = if right { Outcome::Right } else { Outcome::Wrong };
                Judged { outcome, analytic: found[i], numeric: expected[i], tolerance }
            };
            let judged: Vec<Judged> = (0..found.len()).map(judge).collect();
            report.inputs.push(input_report(self, &twin, k, &judged, false));
        }
        report.judge_inputs();
        Ok(report)
    }
}

fn values_agree(point: &Point, twin: &Point, report: &mut Report) {
    if point.y_dims != twin.y_dims {
        let detail = format!("its shape is {:?}, in float64 {:?}", point.y_dims, twin.y_dims);
        report.fail(Assertion::Twin, None, detail);
        return;
    }
    let largest = twin.y.iter().fold(0.0, |largest: f64, y| largest.max(y.abs()));
    let tolerance = ROUNDINGS_OF_LARGEST * f64::from(f32::EPSILON) * largest;
    if let Some(at) = (0..twin.y.len()).find(|&i| (point.y[i] - twin.y[i]).abs() > tolerance) {
        let detail = format!("element {at} is {:e}, in float64 {:e}", point.y[at], twin.y[at]);
        report.fail(Assertion::Twin, None, detail);
    }
}

/// Σ|aᵢbᵢ| of every derivative: its value where every factor is replaced by its size.
fn term_sizes(twin: &Function<'_>, point: &Point) -> Result<Option<Vec<Vec<f64>>>> {
    if !twin.variables().iter().all(|&k| twin.inputs[k].linear) {
        return Ok(None);
    }
    let mut sizes = Function { name: twin.name.clone(), call: twin.call, inputs: Vec::new(), dtype: twin.dtype };
    for input in &twin.inputs {
        let tensor = if input.differentiated { input.tensor.abs()? } else { input.tensor.clone() };
        sizes.inputs.push(Input { tensor, name: input.name.clone(), ..*input });
    }
    let Ok(gradients) = sizes.vjp(&sizes.all_tracked(), &point.cotangent.abs()?)? else { return Ok(None) };
    let flat = |(input, gradient): (&Input, &Option<Tensor>)| match gradient {
        Some(gradient) => values(gradient),
        None => Ok(vec![0.0; input.tensor.elem_count()]),
    };
    Ok(Some(sizes.inputs.iter().zip(&gradients).map(flat).collect::<Result<_>>()?))
}
