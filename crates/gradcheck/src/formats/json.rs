//! Reports as JSON.

use crate::report::{Element, Failure, InputReport, Report};
use std::fmt::Write;

/// The reports as one JSON array. Numbers that JSON does not know (NaN and the infinities) become `null`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::{GradCheck, formats};
///
/// let x = Tensor::new(&[0.5f64, -2.], &Device::Cpu)?;
/// let report = GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap();
/// assert!(formats::json(&[report]).starts_with(r#"[{"name":"sqr","passed":true,"seed":0,"#));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn json(reports: &[Report]) -> String {
    list(reports, report)
}

fn report(report: &Report) -> String {
    format!(
        r#"{{"name":{},"passed":{},"seed":{},"derivatives":{},"not_differentiable":{},"failures":{},"inputs":{},"notes":{}}}"#,
        text(&report.name),
        report.passed(),
        report.seed,
        report.elements(),
        report.not_differentiable(),
        list(&report.failures, failure),
        list(&report.inputs, input),
        list(&report.notes, |note| text(note)),
    )
}

fn failure(failure: &Failure) -> String {
    let input = failure.input.as_deref().map_or("null".into(), text);
    format!(
        r#"{{"assertion":{},"input":{input},"detail":{}}}"#,
        text(failure.assertion.as_str()),
        text(&failure.detail)
    )
}

fn input(input: &InputReport) -> String {
    format!(
        r#"{{"name":{},"shape":{:?},"derivatives":{},"wrong":{},"not_differentiable":{},"unresolved":{},"missing":{},"pattern":{},"worst":{}}}"#,
        text(&input.name),
        input.shape,
        input.elements,
        input.wrong,
        input.not_differentiable,
        input.unresolved,
        input.missing,
        input.pattern.as_deref().map_or("null".into(), text),
        list(&input.worst, element),
    )
}

fn element(element: &Element) -> String {
    format!(
        r#"{{"index":{:?},"analytic":{},"numeric":{},"tolerance":{},"error_ratio":{}}}"#,
        element.index,
        number(element.analytic),
        number(element.numeric),
        number(element.tolerance),
        number(element.error_ratio()),
    )
}

fn list<T>(items: &[T], each: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(each).collect::<Vec<_>>().join(","))
}

/// `{:e}` of a finite float is a JSON number.
fn number(x: f64) -> String {
    if x.is_finite() { format!("{x:e}") } else { "null".into() }
}

fn text(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
