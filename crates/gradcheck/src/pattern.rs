//! What the errors of one gradient have in common: often the name of the mistake.

use crate::elements::{Judged, Outcome};
use crate::function::multi_index;

/// The pattern of the wrong elements, in words, where there is one.
pub(crate) fn describe(judged: &[Judged], dims: &[usize]) -> Option<String> {
    let wrong: Vec<usize> = (0..judged.len()).filter(|&i| judged[i].outcome == Outcome::Wrong).collect();
    if wrong.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    if let Some(factor) = factor(&wrong.iter().map(|&i| judged[i]).collect::<Vec<_>>()) {
        let elsewhere = judged.iter().any(|j| j.outcome == Outcome::Right && j.numeric.abs() > j.tolerance);
        found.push(format!("{factor} {}", if elsewhere { "wherever it is wrong" } else { "everywhere" }));
    }
    found.extend(place(&wrong, dims));
    (!found.is_empty()).then(|| found.join("; "))
}

/// A constant ratio of analytic to numeric among wrong derivatives.
pub(crate) fn factor(wrong: &[Judged]) -> Option<String> {
    let first = wrong.first()?;
    if wrong.iter().all(|j| j.analytic.abs() <= 0.0) {
        return Some("analytic = 0".into());
    }
    let ratio = first.analytic / first.numeric;
    let same = |j: &Judged| (j.analytic - ratio * j.numeric).abs() <= (1.0 + ratio.abs()) * j.tolerance;
    // One number has a ratio to any other: only a telling one is worth a word.
    let telling = wrong.len() > 1 || is_whole(ratio) || is_whole(1.0 / ratio);
    (telling && wrong.iter().all(same)).then(|| format!("analytic = {}", multiple(ratio)))
}

fn is_whole(x: f64) -> bool {
    (x.abs() - x.abs().round()).abs() < 1e-6 * x.abs() && x.abs().round() >= 1.0
}

fn multiple(ratio: f64) -> String {
    let sign = if ratio < 0.0 { "−" } else { "" };
    let (size, inverse) = (ratio.abs(), 1.0 / ratio.abs());
    if is_whole(size) && size.round() > 1.0 {
        format!("{sign}numeric × {}", size.round())
    } else if is_whole(inverse) && inverse.round() > 1.0 {
        format!("{sign}numeric ÷ {}", inverse.round())
    } else if is_whole(size) {
        format!("{sign}numeric")
    } else {
        format!("{sign}numeric × {size:.6}")
    }
}

/// The axes on which the errors keep to few places.
fn place(wrong: &[usize], dims: &[usize]) -> Option<String> {
    let mut found = Vec::new();
    for (axis, &extent) in dims.iter().enumerate().filter(|(_, extent)| **extent > 1) {
        let mut at: Vec<usize> = wrong.iter().map(|&flat| multi_index(flat, dims)[axis]).collect();
        at.sort_unstable();
        at.dedup();
        let last = extent - 1;
        if at.as_slice() == [0] {
            found.push(format!("first border of axis {axis}"));
        } else if at.as_slice() == [last] {
            found.push(format!("last border of axis {axis}"));
        } else if at.as_slice() == [0, last] && extent > 2 {
            found.push(format!("both borders of axis {axis}"));
        } else if let [only] = at.as_slice() {
            found.push(format!("index {only} of axis {axis}"));
        } else if at.len() < extent && at.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            found.push(format!("indices {}..={} of axis {axis}", at[0], at[at.len() - 1]));
        }
    }
    (!found.is_empty()).then(|| format!("all errors lie at the {}", found.join(", the ")))
}
