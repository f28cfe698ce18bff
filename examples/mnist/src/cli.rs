//! The command line.

use std::fmt;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

/// Trains a small convolutional network on real handwritten digits, judges it, and reads digits with it.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network and write it, its figures and its pictures to a folder [the default]
    Train(TrainArgs),
    /// Measure a trained network on the test digits
    Eval(EvalArgs),
    /// Read the digits in pictures (PNG or JPEG, of any size, dark on light or light on dark)
    Predict(PredictArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TrainArgs {
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = "runs/mnist")]
    pub(crate) out: PathBuf,
    /// How often to go through the training digits
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) epochs: u32,
    /// Digits a step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) batch_size: u32,
    /// The peak of the one-cycle learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.004, value_parser = positive)]
    pub(crate) lr: f64,
    /// What every random number follows from: the same seed trains the same weights, to the bit
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Go on from the newest whole checkpoint in the output folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Draw the first training batch as the network sees it, moved and turned, to augmented.png
    #[arg(long)]
    pub(crate) draw_batch: bool,
    #[command(flatten)]
    pub(crate) group: GroupArgs,
    #[command(flatten)]
    pub(crate) debug: DebugArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "To train in several processes")]
pub(crate) struct GroupArgs {
    /// Train in N processes, each on its part of every batch; with `--device cuda` each on a device of its own
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024), conflicts_with_all = TRIALS)]
    pub(crate) processes: Option<u16>,
    /// Be one of the processes that torchrun starts: `torchrun --no-python --nproc-per-node 2 mnist --join`
    #[arg(long, conflicts_with = "processes", conflicts_with_all = TRIALS)]
    pub(crate) join: bool,
}

/// What one process does alone.
const TRIALS: [&str; 3] = ["fast_dev_run", "check_determinism", "check_gradients"];

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "To find faults")]
pub(crate) struct DebugArgs {
    /// Take N steps, validate on N batches, and write nothing
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(crate) fast_dev_run: Option<u32>,
    /// Train, and validate, on the first N batches alone: a sound network learns them by heart
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), conflicts_with = "resume")]
    pub(crate) overfit_batches: Option<u32>,
    /// Look for values that are not finite in each step, and name the layer where the first one comes up
    #[arg(long)]
    pub(crate) detect_anomaly: bool,
    /// Take the first step twice, demand the same bits, and write nothing
    #[arg(long)]
    pub(crate) check_determinism: bool,
    /// Hold the network's gradients on the first digits against differences of the loss, and write nothing
    #[arg(long)]
    pub(crate) check_gradients: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Print which digits are taken for which, and each digit's precision, recall and F1
    #[arg(long)]
    pub(crate) report: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The pictures, each of one digit
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The trained network
    #[arg(long, value_name = "FILE", default_value = "runs/mnist/model.safetensors")]
    pub(crate) model: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Where the digits come from: `embedded`, `hub` (ylecun/mnist), or a folder with MNIST's four IDX files
    #[arg(long, value_name = "embedded|hub|DIR", default_value = "embedded", value_parser = source())]
    pub(crate) data: Source,
}

/// Where the digits come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Embedded,
    Hub,
    Folder(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded in the program"),
            Self::Hub => f.write_str("from the hub, ylecun/mnist"),
            Self::Folder(folder) => write!(f, "from {}", folder.display()),
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MachineArgs {
    /// Threads to compute with [default: one a core]; the results do not depend on it
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// What to compute on; cuda is there where built with `--features cuda`
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) device: DeviceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    Cpu,
    Cuda,
}

/// A mistake on the command line in one line; `None` for help and version, which are no mistakes.
pub(crate) fn mistake(error: &clap::Error) -> Option<String> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return None;
    }
    let text = error.to_string();
    // clap adds a usage and a hint at --help as further paragraphs.
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let mut line = paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match error.get(ContextKind::SuggestedArg).or_else(|| error.get(ContextKind::SuggestedSubcommand)) {
        Some(ContextValue::String(meant)) => line += &format!("; did you mean '{meant}'?"),
        Some(ContextValue::Strings(meant)) => line += &format!("; did you mean '{}'?", meant.join("' or '")),
        _ => {}
    }
    Some(line)
}

fn source() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().map(|text| match text.to_str() {
        Some("embedded") => Source::Embedded,
        Some("hub") => Source::Hub,
        _ => Source::Folder(text.into()),
    })
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("must be a finite number above 0".to_owned()),
    }
}
