//! Bad input: one clear line, an exit code, no panic, nothing half-written.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use support::{idx, mnist, path, write_digits};
use tempfile::{TempDir, tempdir};

/// Runs the program and holds it to refuse: with `code`, in one line on the standard error that holds all of `parts`.
#[track_caller]
fn refuses(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = mnist(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(told.starts_with("error: ") && told.ends_with('\n') && told.lines().count() == 1, "{arguments:?}: {told}");
    for part in parts {
        assert!(told.contains(part), "{arguments:?}: {part:?} is not in {told}");
    }
    for leak in ["panicked", "RUST_BACKTRACE", ".rs:", "backtrace"] {
        assert!(!told.contains(leak), "{arguments:?}: {told}");
    }
}

/// A folder with the four files, of which the test then spoils one.
fn digits() -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let data = write_digits(dir.path(), 20, 10);
    (dir, data)
}

/// Training on `data` is refused before anything is written.
#[track_caller]
fn refuses_data(data: &str, parts: &[&str]) {
    let out = tempdir().unwrap();
    let folder = out.path().join("out");
    refuses(&["train", "--epochs", "1", "--data", data, "--out", &path(&folder)], 1, parts);
    assert!(!folder.exists(), "something was written");
}

#[test]
fn mistakes_on_the_command_line() {
    for (arguments, parts) in [
        (&["--batch-size", "0"][..], &["--batch-size", "'0'", "1.."][..]),
        (&["train", "--epochs", "0"], &["--epochs", "'0'", "1.."]),
        (&["--epochs", "many"], &["--epochs", "'many'"]),
        (&["--lr", "0"], &["--lr", "must be a finite number above 0"]),
        (&["--lr=-0.1"], &["--lr", "must be a finite number above 0"]),
        (&["--lr", "NaN"], &["--lr", "must be a finite number above 0"]),
        (&["--lr", "inf"], &["--lr", "must be a finite number above 0"]),
        (&["--threads", "0"], &["--threads", "'0'", "1.."]),
        (&["--seed=-1"], &["--seed", "'-1'"]),
        (&["--device", "tpu"], &["--device", "cpu", "cuda"]),
        (&["--epoch", "3"], &["--epoch", "did you mean '--epochs'?"]),
        (&["predict"], &["<IMAGE>"]),
        (&["paint"], &["paint"]),
        (&["pedict"], &["did you mean 'predict'?"]),
    ] {
        refuses(arguments, 2, parts);
    }
}

#[test]
fn what_this_build_cannot_do() {
    // With the feature, on a machine without a GPU, the driver's words stand in its place.
    #[cfg(not(feature = "cuda"))]
    refuses(&["--device", "cuda"], 1, &["without the feature `cuda`", "--features cuda", "--device cpu"]);
    #[cfg(not(feature = "cuda"))]
    refuses(&["eval", "--device", "cuda"], 1, &["--features cuda"]);
    #[cfg(not(feature = "hub"))]
    refuses(&["--data", "hub"], 1, &["--features hub", "--data embedded"]);
}

/// Being offline, or meeting a server that is none, ends with the way on.
#[cfg(feature = "hub")]
#[test]
fn a_hub_that_is_not_there() {
    let home = tempdir().unwrap();
    // A port that was free a moment ago, so that nobody answers.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = mnist(&["--data", "hub", "--out", &path(&home.path().join("out"))]);
    let output = command.env("HF_ENDPOINT", format!("http://{address}")).env("HF_HOME", home.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: ") && told.lines().count() == 1, "{told}");
    assert!(told.contains("ylecun/mnist") && told.contains("`--data embedded`"), "{told}");
    assert!(!home.path().join("out").exists());
}

#[test]
fn help_is_no_mistake() {
    let output = mnist(&["--help"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let told = String::from_utf8(output.stdout).unwrap();
    for word in ["train", "eval", "predict", "--epochs", "--resume", "runs/mnist"] {
        assert!(told.contains(word), "{word} is not in {told}");
    }
}

#[test]
fn spoilt_data() {
    let (dir, data) = digits();
    let images = dir.path().join("train-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    fs::write(&images, &whole[..whole.len() - 5]).unwrap();
    refuses_data(&data, &["train-images-idx3-ubyte", "15680", "15675"]);
    fs::write(&images, &whole[..7]).unwrap();
    refuses_data(&data, &["train-images-idx3-ubyte", "header"]);
    fs::write(&images, b"This is not the picture you are looking for.").unwrap();
    refuses_data(&data, &["train-images-idx3-ubyte", "magic number"]);
    fs::write(&images, [&[0x1f, 0x8b], &whole[..40]].concat()).unwrap();
    refuses_data(&data, &["train-images-idx3-ubyte"]);
    fs::write(&images, idx(&[20, 20, 18], &[0; 20 * 20 * 18])).unwrap();
    refuses_data(&data, &["[1, 20, 18]", "[1, 28, 28]"]);
    fs::remove_file(&images).unwrap();
    refuses_data(&data, &["train-images-idx3-ubyte", "No such file"]);
    refuses_data(&path(&dir.path().join("nowhere")), &["nowhere"]);
}

#[test]
fn labels_that_do_not_belong() {
    let (dir, data) = digits();
    let labels = dir.path().join("t10k-labels-idx1-ubyte");
    fs::write(&labels, idx(&[10], &[3, 1, 4, 1, 5, 10, 2, 6, 5, 3])).unwrap();
    refuses_data(&data, &["t10k-labels-idx1-ubyte", "label 10", "sample 5", "10 classes"]);
    fs::write(&labels, idx(&[9], &[3, 1, 4, 1, 5, 9, 2, 6, 5])).unwrap();
    refuses_data(&data, &["10", "9"]);
    fs::write(&labels, idx(&[0], &[])).unwrap();
    fs::write(dir.path().join("t10k-images-idx3-ubyte"), idx(&[0, 28, 28], &[])).unwrap();
    refuses_data(&data, &["Test", "0 pictures"]);
}

/// Tests may run as root, whom permissions do not bind, so a folder that cannot be made stands in for a read-only one: below a file, and in /proc.
#[test]
fn an_output_folder_that_cannot_be_written() {
    let (dir, data) = digits();
    let file = dir.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let train =
        |out: &Path| refuses(&["--epochs", "1", "--data", &data, "--out", &path(out)], 1, &["cannot", &path(out)]);
    train(&file);
    train(&file.join("below"));
    if cfg!(target_os = "linux") {
        train(Path::new("/proc/out"));
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");

    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("metrics.csv")).unwrap();
    train(&taken);
    assert!(!taken.join("model.safetensors").exists());
}

#[test]
fn spoilt_models() {
    let dir = tempdir().unwrap();
    let model = dir.path().join("model.safetensors");
    let eval =
        |parts: &[&str]| refuses(&["eval", "--model", &path(&model)], 1, &[&["model.safetensors"], parts].concat());
    eval(&["there is no model", "cargo run --release -p mnist"]);
    fs::write(&model, b"").unwrap();
    eval(&["not a whole safetensors file"]);
    fs::write(&model, b"garbage, and more of it than eight bytes").unwrap();
    eval(&["not a whole safetensors file"]);
    // A file that is whole, of another network.
    let header = br#"{"fc.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    fs::write(&model, &bytes).unwrap();
    eval(&["does not fit the network", "conv1.weight", "fc.weight"]);
    fs::write(&model, &bytes[..bytes.len() - 2]).unwrap();
    eval(&["not a whole safetensors file"]);
    refuses(&["predict", "--model", &path(&model), "picture.png"], 1, &["not a whole safetensors file"]);
}
