//! The comparison runs, and says what it leaves out.

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;

#[test]
fn a_case_is_timed_and_a_missing_peer_is_named() {
    let output = Command::new(cargo_bin!("taper-benches"))
        .args(["compare", "--only", "mnist1", "--rounds", "1", "--python", "no-such-python", "--burn", "no-such-file"])
        .assert()
        .success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.contains("PyTorch left out: no-such-python"), "{text}");
    assert!(text.contains("burn left out: no-such-file is not there: cargo build"), "{text}");
    let row = text.lines().find(|line| line.starts_with("mnist1"));
    assert!(row.is_some_and(|row| row.matches(" / ").count() >= 4), "{text}");
}

#[test]
fn an_unknown_case_is_named() {
    let output = Command::new(cargo_bin!("taper-benches")).args(["time", "taper", "mnist9"]).assert().failure();
    assert!(String::from_utf8_lossy(&output.get_output().stderr).contains("no case mnist9"));
}

#[test]
fn the_trainer_is_timed_beside_a_bare_loop() {
    let output = Command::new(cargo_bin!("taper-benches")).args(["trainer", "--rounds", "1"]).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("bare loop ") && line.contains(" % ")), "{text}");
    assert!(text.contains("loader with augmentation "), "{text}");
}
