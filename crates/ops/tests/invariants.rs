//! What ARCHITECTURE.md asks of every public operator, as far as the sources tell: what its documentation says, and that it is
//! called where values are held against reference vectors or a formula, and where gradients are checked.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => texts.push(std::fs::read_to_string(&path).unwrap()),
                _ if path.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    texts
}

/// The functions that the crate's root exports.
fn operators() -> Vec<String> {
    let root = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let exports = root.split(';').filter_map(|statement| statement.split_once("pub use ")?.1.rsplit_once("::"));
    let names = exports.flat_map(|(_, names)| names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    names.filter(|name| name.starts_with(|c: char| c.is_lowercase())).map(str::to_string).collect()
}

/// The documentation of the public function `name`.
fn doc(sources: &[String], name: &str) -> String {
    let found = sources.iter().find_map(|text| {
        let at =
            [format!("\npub fn {name}("), format!("\npub fn {name}<")].iter().find_map(|start| text.find(start))?;
        let lines: Vec<&str> = text[..at].lines().rev().take_while(|line| line.starts_with("///")).collect();
        Some(lines.into_iter().rev().map(|line| format!("{line}\n")).collect())
    });
    found.unwrap_or_else(|| panic!("{name} is not found"))
}

#[test]
fn every_operator_is_documented() {
    let sources = sources("src");
    let operators = operators();
    assert!(operators.len() > 100, "{operators:?}");
    for name in &operators {
        let doc = doc(&sources, name);
        // One that gives another's value and something beside it, says so first.
        let variant = doc.starts_with("/// [`");
        let sections = if variant { &["Errors"][..] } else { &["Formula", "Shapes", "Gradient", "Errors", "Source"] };
        for section in sections {
            assert!(doc.contains(&format!("/// # {section}\n")), "{name}: the documentation has no {section}\n{doc}");
        }
        assert!(doc.contains("/// ```\n/// use "), "{name}: the documentation has no example");
    }
}

#[test]
fn every_operator_is_tested() {
    let tests = sources("tests");
    let mut missing = Vec::new();
    for name in &operators() {
        let called = |text: &&String| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        let calling: Vec<_> = tests.iter().filter(called).collect();
        let has = |marks: &[&str]| calling.iter().any(|text| marks.iter().any(|mark| text.contains(mark)));
        if !has(&["proptest!", "support::check"]) {
            missing.push(format!("{name}: no property or vectors"));
        }
        if !has(&["GradCheck", "assert_gradients"]) {
            missing.push(format!("{name}: no gradient check"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
