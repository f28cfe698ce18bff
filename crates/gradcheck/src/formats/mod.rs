//! Reports for programs: JSON, JUnit XML and the annotations of GitHub's logs.

mod github;
mod json;
mod junit;

pub use github::github;
pub use json::json;
pub use junit::junit;
