//! Training: what it leaves, and that neither threads nor interruptions change a bit of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use support::{mnist, path, write_digits};
use tempfile::tempdir;

/// Seven epochs of 36 steps.
const RECIPE: [&str; 6] = ["--epochs", "7", "--batch-size", "10", "--seed", "5"];

fn arguments<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--data", data, "--out", out], &RECIPE[..], more].concat()
}

fn succeed(arguments: &[&str]) -> Output {
    let output = mnist(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn assert_same_files(left: &Path, right: &Path) {
    for name in ["model.safetensors", "metrics.csv"] {
        assert!(fs::read(left.join(name)).unwrap() == fs::read(right.join(name)).unwrap(), "{name} differs");
    }
}

/// A training that is past its second epoch, and within a later one.
fn start_two_epochs(data: &str, out: &Path) -> Child {
    let mut command = mnist(&arguments(data, out.to_str().unwrap(), &[]));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(out.join("metrics.csv")).map_or(0, |csv| csv.lines().count()) < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn neither_threads_nor_a_kill_change_a_bit() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 355, 40);
    let [one, two, killed] = ["one", "two", "killed"].map(|name| dir.path().join(name));

    let output = succeed(&arguments(&data, &path(&one), &["--threads", "1"]));
    let told = String::from_utf8(output.stdout).unwrap();
    let last = told.lines().last().unwrap();
    let figure = last.strip_prefix("test accuracy: ").and_then(|rest| rest.strip_suffix(" %")).unwrap();
    assert!((0.0..=100.0).contains(&figure.parse::<f64>().unwrap()), "{last}");
    assert_eq!(figure.split_once('.').unwrap().1.len(), 2, "{last}");
    for picture in ["curves.png", "mistakes.png", "feature_maps.png"] {
        assert!(told.contains(picture), "{told}");
        assert!(image::open(one.join(picture)).unwrap().width() > 1000, "{picture}");
    }
    let report = fs::read_to_string(one.join("report.html")).unwrap();
    assert!(report.contains("7 of 7 epochs, ended") && report.contains("Confusion matrix"));
    let drawing = fs::read_to_string(one.join("network.svg")).unwrap();
    assert!(drawing.contains("conv2") && drawing.contains("16 × 14 × 14"), "{drawing}");
    assert_eq!(fs::read_to_string(one.join("metrics.csv")).unwrap().lines().count(), 1 + 7);

    succeed(&arguments(&data, &path(&two), &["train", "--threads", "2"][1..]));
    assert_same_files(&one, &two);

    let mut child = start_two_epochs(&data, &killed);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("model.safetensors").exists(), "it had trained to the end before it was killed");

    let output = succeed(&arguments(&data, &path(&killed), &["--resume"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("resuming from"), "{told}");
    assert_same_files(&one, &killed);

    // A resumed run must be the same run.
    let other = mnist(&arguments(&data, &path(&killed), &["--resume", "--lr", "0.5"])).output().unwrap();
    let told = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: ") && told.contains("0.5") && told.lines().count() == 1, "{told}");
    assert_same_files(&one, &killed);
}

#[cfg(unix)]
#[test]
fn a_termination_stops_after_a_checkpoint_and_tells_how_to_go_on() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 355, 40);
    let [whole, stopped] = ["whole", "stopped"].map(|name| dir.path().join(name));
    succeed(&arguments(&data, &path(&whole), &[]));

    let child = start_two_epochs(&data, &stopped);
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("error: stopped after step ") && last.ends_with("with `--resume`"), "{told}");
    assert!(!stopped.join("model.safetensors").exists());

    succeed(&arguments(&data, &path(&stopped), &["--resume"]));
    assert_same_files(&whole, &stopped);
    let last = "checkpoints/step-00000252.safetensors";
    assert!(fs::read(whole.join(last)).unwrap() == fs::read(stopped.join(last)).unwrap());
}

#[cfg(unix)]
#[test]
fn a_termination_after_the_training_ends_the_program() {
    let dir = tempdir().unwrap();
    // To read so many takes a while.
    let data = write_digits(dir.path(), 20, 40_000);
    let out = path(&dir.path().join("out"));
    let mut command = mnist(&["--data", &data, "--out", &out, "--epochs", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    // Read on to the end, so that the program may write what it has to.
    let mut after = Vec::new();
    for line in told.lines().map(Result::unwrap) {
        if line.starts_with("trained in ") {
            let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        after.push(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{after:?}");
    assert!(after.last().unwrap().starts_with("trained in "), "{after:?}");
}

#[test]
fn resuming_without_a_whole_checkpoint_says_so_and_starts() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 30, 10);
    let out = dir.path().join("out");
    let checkpoints = out.join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    fs::write(checkpoints.join("step-00000003.safetensors"), b"garbage").unwrap();
    let output = succeed(&["train", "--data", &data, "--out", &path(&out), "--epochs", "1", "--resume"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("skipped") && told.contains("step-00000003.safetensors"), "{told}");
    assert!(told.contains("no checkpoint to resume from"), "{told}");
    assert!(out.join("model.safetensors").exists());
}

#[test]
fn a_trained_model_is_judged_and_reads_pictures() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 300, 30);
    let out = dir.path().join("out");
    let trained = succeed(&["--data", &data, "--out", &path(&out), "--epochs", "2", "--batch-size", "20"]);
    let model = path(&out.join("model.safetensors"));
    let judged = succeed(&["eval", "--data", &data, "--model", &model]);
    let last = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(last(&trained), last(&judged));

    let report = succeed(&["eval", "--report", "--data", &data, "--model", &model]);
    assert_eq!(last(&report), last(&judged));
    let told = String::from_utf8(report.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let table =
        lines.iter().position(|line| *line == "   0  1  2  3  4  5  6  7  8  9" || *line == "  0 1 2 3 4 5 6 7 8 9");
    let rows = &lines[table.unwrap() + 1..][..10];
    let count = |row: &str| row.split_whitespace().skip(1).map(|count| count.parse::<u32>().unwrap()).sum::<u32>();
    assert_eq!(rows.iter().map(|row| count(row)).collect::<Vec<_>>(), [3; 10], "{told}");
    let scores = lines.iter().position(|line| *line == "digit  precision    recall        F1").unwrap();
    assert!(lines[scores + 10].starts_with("    9 ") && lines[scores + 10].len() == lines[scores].len(), "{told}");

    let names = ["good.png", "bad.png", "missing.png", "cut.png", "cut.jpg"];
    let [good, bad, missing, cut_png, cut_jpeg] = names.map(|name| dir.path().join(name));
    let ink = |x: u32, y: u32| image::Luma([if (20..28).contains(&x) && (9..60).contains(&y) { 10u8 } else { 240 }]);
    let picture = image::GrayImage::from_fn(50, 70, ink);
    picture.save(&good).unwrap();
    fs::write(&bad, b"no picture at all").unwrap();
    for cut in [&cut_png, &cut_jpeg] {
        picture.save(cut).unwrap();
        let whole = fs::read(cut).unwrap();
        fs::write(cut, &whole[..whole.len() - 20]).unwrap();
    }
    let pictures = [&missing, &good, &bad, &cut_png, &cut_jpeg, &good].map(|file| path(file));
    let arguments = [&["predict", "--model", &model], &pictures.each_ref().map(String::as_str)[..]].concat();
    let output = mnist(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (told, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 2 && lines[0] == lines[1] && lines[0].starts_with(&pictures[1]), "{told}");
    assert!(lines[0].contains(" %), else "), "{told}");
    let errors: Vec<&str> = errors.lines().collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].starts_with(&format!("error: cannot read {}: ", pictures[0])), "{errors:?}");
    for (error, picture) in errors[1..].iter().zip(&pictures[2..5]) {
        assert!(error.starts_with(&format!("error: {picture}: ")), "{errors:?}");
    }
    assert!(errors[1].contains("this is neither a PNG nor a JPEG"), "{errors:?}");
    assert!(errors[3].contains("the JPEG is cut short"), "{errors:?}");
}

#[test]
fn processes_train_together_and_a_run_of_them_resumes() {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 355, 40);
    let [two, killed] = ["two", "killed"].map(|name| dir.path().join(name));
    let together = ["--processes", "2", "--threads", "1"];
    let told = String::from_utf8(succeed(&arguments(&data, &path(&two), &together)).stdout).unwrap();
    assert_eq!(told.matches("test accuracy: ").count(), 1, "{told}");

    // One of two that something else started is killed.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let join = |rank: &str| {
        let mut command = mnist(&arguments(&data, &path(&killed), &["--join", "--threads", "1"]));
        command.envs([("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")]);
        command.env("MASTER_PORT", &port).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let [leader, mut other] = ["0", "1"].map(join);
    let start = Instant::now();
    while fs::read_to_string(killed.join("metrics.csv")).map_or(0, |csv| csv.lines().count()) < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    other.kill().unwrap();
    other.wait().unwrap();
    let leader = leader.wait_with_output().unwrap();
    let told = String::from_utf8(leader.stderr).unwrap();
    assert_eq!(leader.status.code(), Some(1), "{told}");
    assert!(told.lines().last().unwrap().starts_with("error: rank 1 is lost: "), "{told}");

    succeed(&arguments(&data, &path(&killed), &[&together[..], &["--resume"]].concat()));
    assert_same_files(&two, &killed);

    let alone = mnist(&["--join"]).env_remove("RANK").output().unwrap();
    assert_eq!(alone.status.code(), Some(1));
    let told = String::from_utf8(alone.stderr).unwrap();
    assert_eq!(told, "error: --join reads RANK of the environment, which is not set: torchrun sets it\n");
}
