//! What has state across steps, a clock or a disk: data, optimisers, schedules, the training loop and checkpoints that
//! resume to the bit.
//!
//! The trainer knows no layer: it is handed variables by name and a forward function.

mod checkpoint;
pub mod data;
pub mod distributed;
mod early_stopping;
mod error;
mod exact;
mod file;
mod history;
mod metrics;
mod monitor;
mod observer;
pub mod optim;
mod pattern;
pub mod schedule;
mod trainer;

pub use checkpoint::{Checkpoints, SkippedCheckpoint};
pub use early_stopping::EarlyStopping;
pub use error::{Error, Result};
pub use file::{prepare_folder, write_atomic};
pub use history::{EpochRecord, History};
pub use metrics::{
    Accuracy, Auroc, Average, ConfusionMatrix, Evaluation, F1, MeanLoss, Metric, Metrics, Precision, Recall, TopK,
};
pub use monitor::Monitor;
pub use observer::{CsvLog, FitStart, HtmlReport, JsonLines, Observer, Progress, Resume, StepEnd, TensorBoard};
pub use schedule::{Rates, Schedule};
pub use trainer::{AnomalyPlace, Ema, LossScale, LrCurve, LrFinder, LrPoint, Trainer};
