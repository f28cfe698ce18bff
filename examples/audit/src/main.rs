#![allow(clippy::print_stdout, reason = "an example prints")]
//! Runs the gradient checker over candle 0.11.1's own operators and over taper's, and writes what it found as Markdown and
//! JSON. Nothing is asserted by hand: each verdict is measured when it runs.

mod candle;
mod cases;
mod table;
mod taper;
mod verdict;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Row;

/// Checks candle's operators and taper's against finite differences.
#[derive(Parser)]
struct Arguments {
    /// The folder that audit.md and audit.json are written into.
    #[arg(long, default_value = "runs/audit")]
    out: PathBuf,
    /// How many random cases an operator is given.
    #[arg(long, default_value_t = 48)]
    cases: usize,
    /// Only taper's operators: counts false alarms.
    #[arg(long)]
    taper_only: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every operator of taper is right.
fn run(arguments: &Arguments) -> std::io::Result<bool> {
    // candle panics in places; the audit reports that in its table.
    std::panic::set_hook(Box::new(|_| ()));
    std::fs::create_dir_all(&arguments.out)?;
    let mut rows: Vec<Row> = Vec::new();
    for (operator, examine) in candle::OPERATORS.iter().filter(|_| !arguments.taper_only) {
        rows.push(Row { operator, candle: Some(examine(arguments.cases)), taper: None });
        println!("candle {operator}: done");
    }
    for (operator, examine) in taper::OPERATORS {
        let verdict = Some(examine(arguments.cases));
        println!("taper {operator}: done");
        match rows.iter_mut().find(|row| row.operator == operator) {
            Some(row) => row.taper = verdict,
            None => rows.push(Row { operator, candle: None, taper: verdict }),
        }
    }
    let markdown = table::markdown(&rows, arguments.cases);
    println!("{markdown}");
    std::fs::write(arguments.out.join("audit.md"), markdown)?;
    std::fs::write(arguments.out.join("audit.json"), format!("{:#}\n", table::json(&rows)))?;
    println!("written to {}", arguments.out.display());
    Ok(rows.iter().filter_map(|row| row.taper.as_ref()).all(verdict::Verdict::right))
}
