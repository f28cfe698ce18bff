//! Patterns over the names of variables.

use crate::{Error, Result};
use candle_core::Var;
use std::collections::BTreeMap;

/// A name in which each `*` stands for any characters, dots and none included, as in `*.bias`. There is no other wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let mut rest = rest;
        // The leftmost place of each part leaves the most for those after it; only the last must reach the end.
        while let Some((part, after)) = rest.split_once('*') {
            let Some(at) = name.find(part) else { return false };
            (name, rest) = (&name[at + part.len()..], after);
        }
        name.ends_with(rest)
    }

    /// Refuses a pattern that no variable goes by: a misspelt one must not pass for one that did its work.
    pub(crate) fn check(&self, op: &'static str, vars: &BTreeMap<String, Var>) -> Result<()> {
        if vars.keys().any(|name| self.matches(name)) {
            return Ok(());
        }
        let names = vars.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(Error::NoMatch { op, pattern: self.0.clone(), names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, matching, other) in [
            ("conv.bias", &["conv.bias"][..], &["conv.bias2", "xconv.bias", "conv_bias"][..]),
            ("*.bias", &["conv.bias", "a.b.bias", ".bias"], &["bias", "conv.bias.x", "conv.weight"]),
            ("conv*", &["conv", "conv1.weight"], &["xconv", "con"]),
            ("*", &["", "anything.at.all"], &[]),
            ("**", &["", "a"], &[]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab", "ba"]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["ac", "acb", "abcd"]),
            ("*bn*.weight", &["bn1.weight", "block.bn.weight"], &["bn1.bias", "b.n.weight"]),
            ("*ab*ab*", &["abab", "xabyabz"], &["aba", "ab"]),
            ("größe*", &["größer"], &["groesse"]),
            ("", &[""], &["a"]),
        ] {
            let pattern = Pattern::new(pattern);
            assert!(matching.iter().all(|name| pattern.matches(name)), "{pattern:?} {matching:?}");
            assert!(!other.iter().any(|name| pattern.matches(name)), "{pattern:?} {other:?}");
        }
    }
}
