//! Reports as JUnit XML, which CI services read as test results.

use crate::report::Report;

/// The reports as one `<testsuite>`, a test case each. What XML 1.0 cannot hold (control characters) is left out.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::{GradCheck, formats};
///
/// let x = Tensor::new(&[0.5f64, -2.], &Device::Cpu)?;
/// let report = GradCheck::new("x·x").check(|x: &[Tensor]| &x[0] * x[0].detach(), &[x]).unwrap();
/// let xml = formats::junit(&[report]);
/// assert!(xml.contains(r#"<testsuite name="gradcheck" tests="1" failures="1">"#));
/// assert!(xml.contains(r#"<failure message="gradient of input `input 0`: 2 of 2 derivatives are wrong"#));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn junit(reports: &[Report]) -> String {
    let failures = reports.iter().filter(|report| !report.passed()).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out += &format!("<testsuite name=\"gradcheck\" tests=\"{}\" failures=\"{failures}\">\n", reports.len());
    for report in reports {
        out += &format!("  <testcase classname=\"gradcheck\" name=\"{}\"", escaped(&report.name));
        match report.failures.first() {
            None => out += "/>\n",
            Some(first) => {
                let message = escaped(&first.to_string());
                let whole = escaped(&report.to_string());
                out += &format!(">\n    <failure message=\"{message}\">{whole}</failure>\n  </testcase>\n");
            }
        }
    }
    out + "</testsuite>\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            c if c < ' ' => (),
            c => out.push(c),
        }
    }
    out
}
