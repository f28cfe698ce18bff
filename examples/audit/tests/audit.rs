#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! The audit finds, unaided, what is known to be wrong with candle 0.11.1, and nothing wrong with taper.

use serde_json::Value;
use std::process::Command;

#[test]
fn known_defects_are_found_and_nothing_else() {
    let out = std::env::temp_dir().join(format!("taper-audit-{}", std::process::id()));
    let run = Command::new(env!("CARGO_BIN_EXE_audit")).args(["--cases", "16", "--out"]).arg(&out).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}");
    let rows: Value = serde_json::from_slice(&std::fs::read(out.join("audit.json")).unwrap()).unwrap();
    assert!(std::fs::read_to_string(out.join("audit.md")).unwrap().contains("| max_pool2d |"));
    std::fs::remove_dir_all(&out).unwrap();

    let row = |operator: &str| rows.as_array().unwrap().iter().find(|row| row["operator"] == operator).unwrap();
    let found = |operator: &str, kind: &str, detail: &str| {
        let findings = row(operator)["candle"]["findings"].as_array().unwrap();
        let hit = findings.iter().any(|finding| {
            let says = |key: &str| finding[key].as_str().is_some_and(|text| text.contains(detail));
            finding["kind"] == kind && (says("first") || says("detail"))
        });
        assert!(hit, "{operator}: no {kind} that says {detail:?} in {findings:#?}");
    };
    found("matmul", "input layout", "the value changes");
    found("conv1d", "gradient of `weight`", "wrong");
    found("conv1d", "input layout", "`weight` strided, the value changes");
    found("conv2d", "backward pass", "shape mismatch");
    found("conv_transpose1d", "adjoint", "fᵀ(v)");
    found("max_pool2d", "gradient of `x`", "analytic = numeric ÷");
    found("avg_pool2d", "gradient of `x`", "border of axis");
    found("upsample_nearest2d", "fan-out of `x`", "not the sum of both");
    found("Linear", "input layout", "`x` transposed, the value changes");
    found("layer_norm", "connected graph of `x`", "severed");
    found("softmax_last_dim", "connected graph of `x`", "severed");
    found("relu", "gradient at 0", "is 1");
    for right in ["softmax", "cross_entropy", "exp, sin, tanh", "cat, narrow, pad", "sum, mean"] {
        assert_eq!(row(right)["candle"]["right"], true, "{right}");
    }
    let taper = rows.as_array().unwrap().iter().filter(|row| row["taper"].is_object());
    assert_eq!(taper.inspect(|row| assert_eq!(row["taper"]["right"], true, "{row:#}")).count(), 21);
}
