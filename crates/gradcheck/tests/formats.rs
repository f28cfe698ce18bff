#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
//! Every format holds what a report says, whatever characters and numbers are in it.

use candle_core::{Device, Tensor};
use taper_gradcheck::{Assertion, GradCheck, Report, formats};

fn reports() -> [Report; 2] {
    let x = Tensor::new(&[[0.5f64, -2.], [3., 4.]], &Device::Cpu).unwrap();
    let wrong = |x: &[Tensor]| &x[0] * x[0].detach();
    let name = "a \"name\", <b> & \\ : 100 %\n\u{1}";
    let failed = GradCheck::new(name).worst(2).check(wrong, std::slice::from_ref(&x)).unwrap();
    let passed = GradCheck::new("sqr").check(|x: &[Tensor]| x[0].sqr(), &[x]).unwrap();
    [failed, passed]
}

#[test]
fn json_parses_and_holds_the_report() {
    let [failed, passed] = reports();
    let mut broken = failed.clone();
    broken.inputs[0].worst[0].numeric = f64::NAN;
    let parsed: serde_json::Value = serde_json::from_str(&formats::json(&[failed.clone(), passed, broken])).unwrap();
    assert_eq!(parsed[0]["name"], failed.name.as_str());
    assert_eq!(parsed[0]["passed"], false);
    assert_eq!(parsed[0]["failures"][0]["assertion"], Assertion::Gradient.as_str());
    let worst = &parsed[0]["inputs"][0]["worst"];
    assert_eq!(worst.as_array().unwrap().len(), 2);
    assert_eq!(worst[0]["index"].as_array().unwrap().len(), 2);
    assert_eq!(worst[0]["numeric"].as_f64().map(f64::to_bits), Some(failed.inputs[0].worst[0].numeric.to_bits()));
    assert_eq!(parsed[1]["passed"], true);
    assert!(parsed[1]["failures"].as_array().unwrap().is_empty());
    assert!(parsed[2]["inputs"][0]["worst"][0]["numeric"].is_null());
}

#[test]
fn junit_escapes_and_counts() {
    let xml = formats::junit(&reports());
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
    assert!(xml.contains("name=\"a &quot;name&quot;, &lt;b&gt; &amp; \\ : 100 %&#10;\""), "{xml}");
    assert_eq!(xml.matches("<testcase").count(), 2);
    assert_eq!(xml.matches("<failure").count(), 1);
    assert!(!xml.contains('\u{1}'));
}

#[test]
fn github_keeps_each_annotation_on_one_line() {
    let text = formats::github(&reports());
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.starts_with("::error title=a \"name\"%2C <b> & \\ %3A 100 %25%0A\u{1}::gradient of input `input 0`: "),
        "{text}"
    );
}
