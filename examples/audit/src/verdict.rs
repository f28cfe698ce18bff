//! Draws cases of one operator, and shrinks one of every kind of failure to the smallest that still fails so.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use taper_gradcheck::{Error, Report};

/// What one case showed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) failures: Vec<Failure>,
    /// The largest |analytic − numeric| relative to the larger of both.
    pub(crate) error: f64,
}

/// One kind of failure and what it looked like.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        let failure = |failure: &taper_gradcheck::Failure| Failure {
            kind: match &failure.input {
                Some(input) => format!("{} of `{input}`", failure.assertion),
                None => failure.assertion.to_string(),
            },
            detail: failure.detail.clone(),
        };
        let wrong = report.inputs.iter().filter(|input| input.wrong > 0).flat_map(|input| &input.worst);
        let error = wrong.map(|e| (e.analytic - e.numeric).abs() / e.analytic.abs().max(e.numeric.abs()));
        Self { failures: report.failures.iter().map(failure).collect(), error: error.fold(0.0, f64::max) }
    }
}

impl Outcome {
    /// Two checks of one case together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.failures.extend(other.failures);
        self.error = self.error.max(other.error);
        self
    }
}

/// What all cases of one operator showed.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) cases: usize,
    pub(crate) failing: usize,
    pub(crate) error: f64,
    pub(crate) findings: Vec<Finding>,
}

/// A kind of failure with its smallest case.
#[derive(Debug)]
pub(crate) struct Finding {
    /// As the smallest case shows it.
    pub(crate) failure: Failure,
    pub(crate) case: String,
    /// As the first case drawn shows it: more elements tell more of a pattern.
    pub(crate) first: String,
}

impl Verdict {
    pub(crate) fn right(&self) -> bool {
        self.failing == 0
    }
}

/// Draws `cases` from `strategy`, the same ones on every run.
pub(crate) fn examine<S: Strategy>(
    cases: usize,
    strategy: S,
    case: impl Fn(&S::Value) -> Result<Outcome, Error>,
) -> Verdict
where
    S::Value: Debug,
{
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut verdict = Verdict { cases: 0, failing: 0, error: 0.0, findings: Vec::new() };
    for _ in 0..cases {
        let Ok(mut tree) = strategy.new_tree(&mut runner) else { continue };
        let outcome = guarded(&case, &tree.current());
        verdict.cases += 1;
        verdict.failing += usize::from(!outcome.failures.is_empty());
        verdict.error = verdict.error.max(outcome.error);
        let new = outcome
            .failures
            .into_iter()
            .find(|failure| !verdict.findings.iter().any(|finding| finding.failure.kind == failure.kind));
        if let Some(failure) = new {
            verdict.findings.push(smallest(&mut tree, &case, failure));
        }
    }
    verdict
}

fn smallest<T: ValueTree>(
    tree: &mut T,
    case: &impl Fn(&T::Value) -> Result<Outcome, Error>,
    mut failure: Failure,
) -> Finding
where
    T::Value: Debug,
{
    let first = failure.detail.clone();
    let mut smallest = tree.current();
    let same =
        |value: &T::Value, kind: &str| guarded(case, value).failures.into_iter().find(|found| found.kind == kind);
    while tree.simplify() {
        loop {
            if let Some(found) = same(&tree.current(), &failure.kind) {
                (failure, smallest) = (found, tree.current());
                break;
            }
            if !tree.complicate() {
                break;
            }
        }
    }
    Finding { failure, case: format!("{smallest:?}"), first }
}

/// Runs a case that may panic or refuse.
fn guarded<V>(case: &impl Fn(&V) -> Result<Outcome, Error>, value: &V) -> Outcome {
    let failed = |kind: &str, detail: String| {
        let detail = detail.lines().next().unwrap_or_default().to_owned();
        Outcome { failures: vec![Failure { kind: kind.into(), detail }], error: 0.0 }
    };
    match catch_unwind(AssertUnwindSafe(|| case(value))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => failed("refused", error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            failed("panicked", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").into())
        }
    }
}
