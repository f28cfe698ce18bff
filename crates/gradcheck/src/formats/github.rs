//! Reports as GitHub's workflow commands, which its logs and its pull requests show as annotations.

use crate::report::Report;

/// One `::error` line for each failure, nothing for a report that passed. Print it to standard output in a workflow.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use taper_gradcheck::{GradCheck, formats};
///
/// let x = Tensor::new(&[0.5f64, -2.], &Device::Cpu)?;
/// let report = GradCheck::new("x·x").check(|x: &[Tensor]| &x[0] * x[0].detach(), &[x]).unwrap();
/// assert!(formats::github(&[report]).starts_with("::error title=x·x::gradient of input `input 0`: 2 of 2"));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn github(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        for failure in &report.failures {
            out += &format!("::error title={}::{}\n", property(&report.name), data(&failure.to_string()));
        }
    }
    out
}

/// A message ends at its line's end.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property also ends at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
