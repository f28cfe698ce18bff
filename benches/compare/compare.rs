//! Alternating processes, and the table of their ratios.

use crate::cases::{Figures, names};
use crate::{CompareArgs, DeviceKind, Failure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// PyTorch's malloc as it comes and tuned: it keeps its pages then, as mimalloc does for the others.
const TUNED: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "1073741824"), ("MALLOC_TRIM_THRESHOLD_", "1073741824")];

/// One case: what each round measured by each library, and the medians.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    /// Library → a figure a round.
    rounds: BTreeMap<&'static str, Vec<Figures>>,
    /// PyTorch's whole ÷ taper's, the median of the rounds; candle's, and burn's.
    torch_ratio: Option<f64>,
    candle_ratio: Option<f64>,
    burn_ratio: Option<f64>,
}

/// Times the cases and prints the table.
pub(crate) fn compare(args: &CompareArgs) -> Result<(), Failure> {
    let torch = torch_version(&args.python);
    match &torch {
        Ok(version) => println!("PyTorch {version}"),
        Err(why) => println!("PyTorch left out: {why}"),
    }
    let burn = burn(args);
    if let Err(why) = &burn {
        println!("burn left out: {why}");
    }
    println!(
        "{}, {} threads, {} rounds; milliseconds, medians; forward / whole; ratios are of the whole",
        args.device.name(),
        args.threads,
        args.rounds
    );
    println!(
        "{:<18}{:>18}{:>18}{:>18}{:>18}{:>10}{:>10}{:>10}{:>24}",
        "case",
        "taper",
        "PyTorch's best",
        "candle",
        "burn",
        "÷ PyTorch",
        "÷ candle",
        "÷ burn",
        "peak MiB t / P / c / b"
    );
    let mut rows = Vec::new();
    for case in names().into_iter().filter(|case| case.contains(&args.only)) {
        let row = measure(case, args, torch.is_ok(), burn.is_ok())?;
        println!("{}", row.line());
        rows.push(row);
    }
    let mean = |cases: &[&str]| {
        let ratios: Vec<f64> =
            rows.iter().filter(|row| cases.contains(&row.case)).filter_map(|row| row.torch_ratio).collect();
        (ratios.len() == cases.len())
            .then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
    };
    if let Some(mean) = mean(&["mnist1", "mnist2", "res64", "res128s2", "res256", "pointwise", "stem"]) {
        println!("geometric mean of the dense convolution layers, PyTorch's best ÷ taper: {mean:.2}");
    }
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn measure(case: &'static str, args: &CompareArgs, torch: bool, burn: bool) -> Result<Row, Failure> {
    let this = std::env::current_exe()?;
    let threads = args.threads.to_string();
    let mut rounds: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
    for _ in 0..args.rounds {
        for library in ["taper", "candle"] {
            if library == "candle" && (args.without_candle || case == "max_pool 3 s2 p1") {
                continue;
            }
            let mut command = Command::new(&this);
            command.args(["time", library, case, "--device", args.device.name()]);
            command.env("RAYON_NUM_THREADS", &threads).env("MIMALLOC_PURGE_DELAY", "-1");
            // candle's own threads would only spin beside taper's; candle itself computes with them.
            command.env("CANDLE_NUM_THREADS", if library == "taper" { "1" } else { &threads });
            rounds.entry(library).or_default().push(figures(&mut command)?);
        }
        if burn {
            let mut command = Command::new(&args.burn);
            command.arg(case).env("RAYON_NUM_THREADS", &threads).env("MIMALLOC_PURGE_DELAY", "-1");
            rounds.entry("burn").or_default().push(figures(&mut command)?);
        }
        if torch {
            let peer = |tuned: &[(&str, &str)]| {
                let mut command = Command::new(&args.python);
                command.arg(&args.peer).args([case, "--threads", &threads, "--device", args.device.name()]);
                figures(command.envs(tuned.iter().copied()))
            };
            let plain = peer(&[])?;
            let best = match args.device {
                DeviceKind::Cpu => plain.best(&peer(&TUNED)?),
                DeviceKind::Cuda => plain,
            };
            rounds.entry("PyTorch").or_default().push(best);
        }
    }
    let ratio = |library: &str| {
        let pairs = rounds.get(library)?.iter().zip(&rounds["taper"]);
        median(pairs.map(|(other, taper)| other.whole / taper.whole).collect())
    };
    let [torch_ratio, candle_ratio, burn_ratio] = ["PyTorch", "candle", "burn"].map(ratio);
    Ok(Row { case, torch_ratio, candle_ratio, burn_ratio, rounds })
}

impl Row {
    fn line(&self) -> String {
        let times = |library: &str| {
            let Some(rounds) = self.rounds.get(library) else { return "–".to_owned() };
            let whole = median(rounds.iter().map(|figures| figures.whole).collect());
            let forward = median(rounds.iter().filter_map(|figures| figures.forward).collect());
            match (forward, whole) {
                (Some(forward), Some(whole)) => format!("{forward:.2} / {whole:.2}"),
                (_, whole) => whole.map_or_else(|| "–".to_owned(), |whole| format!("{whole:.2}")),
            }
        };
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let peak = ["taper", "PyTorch", "candle", "burn"].map(|library| {
            let peak = self.rounds.get(library).and_then(|rounds| median(rounds.iter().map(|f| f.peak_mib).collect()));
            peak.map_or_else(|| "–".to_owned(), |peak| format!("{peak:.0}"))
        });
        format!(
            "{:<18}{:>18}{:>18}{:>18}{:>18}{:>10}{:>10}{:>10}{:>24}",
            self.case,
            times("taper"),
            times("PyTorch"),
            times("candle"),
            times("burn"),
            ratio(self.torch_ratio),
            ratio(self.candle_ratio),
            ratio(self.burn_ratio),
            peak.join(" / ")
        )
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The figures that a process prints as its last line.
fn figures(command: &mut Command) -> Result<Figures, Failure> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().last().map(serde_json::from_str) {
        Some(Ok(figures)) if output.status.success() => Ok(figures),
        _ => Err(format!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Whether burn's side is built, or why it is left out.
fn burn(args: &CompareArgs) -> Result<(), String> {
    match args.device {
        DeviceKind::Cuda => Err("its side is written for the CPU".to_owned()),
        DeviceKind::Cpu if args.burn.is_file() => Ok(()),
        DeviceKind::Cpu => {
            let build = "cargo build --release --manifest-path benches/peers/burn/Cargo.toml";
            Err(format!("{} is not there: {build}", args.burn.display()))
        }
    }
}

/// The version of torch, or why there is none.
fn torch_version(python: &Path) -> Result<String, String> {
    let mut command = Command::new(python);
    let output = command.args(["-c", "import torch; print(torch.__version__)"]).output();
    let output = output.map_err(|error| format!("{}: {error}", python.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!(
            "{} has no torch (pip install torch): {}",
            python.display(),
            text(&output.stderr).lines().last().unwrap_or_default()
        ))
    }
}
