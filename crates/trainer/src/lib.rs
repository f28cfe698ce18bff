//! What has state across steps, a clock or a disk: data, optimisers, schedules, the training loop and checkpoints that
//! resume to the bit.
//!
//! The trainer knows no layer: it is handed variables by name and a forward function.

mod checkpoint;
pub mod data;
mod error;
mod exact;
mod file;
mod history;
mod metrics;
mod observer;
pub mod optim;
mod pattern;
pub mod schedule;
mod trainer;

pub use checkpoint::{Checkpoints, SkippedCheckpoint};
pub use error::{Error, Result};
pub use file::{prepare_folder, write_atomic};
pub use history::{EpochRecord, History};
pub use metrics::{Accuracy, Metrics};
pub use observer::{CsvLog, FitStart, HtmlReport, JsonLines, Observer, Progress, Resume, StepEnd, TensorBoard};
pub use schedule::{Rates, Schedule};
pub use trainer::{Ema, LrCurve, LrFinder, LrPoint, Trainer};
