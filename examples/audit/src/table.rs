//! The audit as a table for people and as JSON for programs.

use crate::verdict::{Finding, Verdict};
use serde_json::{Value, json};

/// One operator: candle's verdict where candle has it, taper's where taper replaces it.
pub(crate) struct Row {
    pub(crate) operator: &'static str,
    pub(crate) candle: Option<Verdict>,
    pub(crate) taper: Option<Verdict>,
}

pub(crate) fn markdown(rows: &[Row], cases: usize) -> String {
    let mut out = format!(
        "# candle 0.11.1's operators and taper's, checked\n\nEach verdict was measured over {cases} random cases in float64 \
         on the CPU, and every failure shrunk to the smallest case that shows it.\n\n\
         | operator | candle | taper |\n|---|---|---|\n"
    );
    for row in rows {
        out += &format!("| {} | {} | {} |\n", row.operator, short(row.candle.as_ref()), short(row.taper.as_ref()));
    }
    out += "\n## What is wrong, and the smallest case that shows it\n";
    for row in rows {
        for (whose, verdict) in [("candle", &row.candle), ("taper", &row.taper)] {
            let Some(verdict) = verdict.as_ref().filter(|verdict| !verdict.right()) else { continue };
            out += &format!("\n### {whose}: {}\n", row.operator);
            for finding in &verdict.findings {
                let Finding { failure, case, first } = finding;
                out += &format!("- **{}**: {}  \n  smallest: `{case}`: {}\n", failure.kind, first, failure.detail);
            }
        }
    }
    out
}

fn short(verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else { return "—".into() };
    if verdict.right() {
        return format!("right ({} cases)", verdict.cases);
    }
    let kinds: Vec<&str> = verdict.findings.iter().map(|finding| finding.failure.kind.as_str()).collect();
    let error = if verdict.error > 0.0 { format!(", error up to {:.1e}", verdict.error) } else { String::new() };
    format!("**wrong** in {} of {}: {}{error}", verdict.failing, verdict.cases, kinds.join(", "))
}

pub(crate) fn json(rows: &[Row]) -> Value {
    let verdict = |verdict: &Verdict| {
        let findings = verdict.findings.iter().map(
            |finding| json!({ "kind": finding.failure.kind, "detail": finding.failure.detail, "case": finding.case, "first": finding.first }),
        );
        json!({
            "right": verdict.right(),
            "cases": verdict.cases,
            "failing": verdict.failing,
            "error": verdict.error,
            "findings": findings.collect::<Vec<_>>(),
        })
    };
    let row = |row: &Row| {
        json!({
            "operator": row.operator,
            "candle": row.candle.as_ref().map(verdict),
            "taper": row.taper.as_ref().map(verdict),
        })
    };
    Value::Array(rows.iter().map(row).collect())
}
