//! Event files, read by a reader of their own: framing, checksums and messages, and what a resume leaves of them.
//!
//! `tests/scripts/read_events.py` holds TensorBoard's own reader to the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Var};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use support::{Net, loader};
use taper_trainer::{
    Checkpoints, EpochRecord, Error, FitStart, History, Metrics, Observer, Result, StepEnd, TensorBoard, Trainer,
};

/// One field of a protobuf message.
#[derive(Debug, Clone)]
enum Field {
    Varint(u64),
    Double(f64),
    Bytes(Vec<u8>),
    Float(f32),
}

type Message = Vec<(u64, Field)>;

fn message(mut bytes: &[u8]) -> Message {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)),
            1 => Field::Double(f64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes) as usize;
                Field::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => Field::Float(f32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap())),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn bytes(message: &Message, number: u64) -> Vec<Vec<u8>> {
    let of = |(field, value): &(u64, Field)| match value {
        Field::Bytes(bytes) if *field == number => Some(bytes.clone()),
        _ => None,
    };
    message.iter().filter_map(of).collect()
}

fn text(message: &Message, number: u64) -> String {
    String::from_utf8(bytes(message, number).concat()).unwrap()
}

/// Bit by bit, unlike the writer's.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (!(sum & 1)).wrapping_add(1));
        }
    }
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a file; what a kill cut short at its end is left out.
fn records(path: &Path) -> Vec<Message> {
    let (mut bytes, mut records) = (fs::read(path).unwrap(), Vec::new());
    while bytes.len() >= 12 {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        if bytes.len() < 16 + length {
            break;
        }
        let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(sum(8), masked_crc32c(&bytes[..8]));
        assert_eq!(sum(12 + length), masked_crc32c(&bytes[12..12 + length]));
        records.push(message(&bytes[12..12 + length]));
        bytes.drain(..16 + length);
    }
    records
}

/// The event files of a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().contains("tfevents"));
    paths.sort();
    paths
}

fn step_of(event: &Message) -> u64 {
    let steps: Vec<u64> =
        event.iter().filter_map(|it| if let (2, Field::Varint(step)) = it { Some(*step) } else { None }).collect();
    assert_eq!(steps.len(), 1);
    steps[0]
}

/// Every scalar by tag and step, as TensorBoard would show it: a restart makes it forget. No step may come twice.
fn scalars(folder: &Path) -> BTreeMap<(String, u64), f32> {
    let mut scalars = BTreeMap::new();
    for path in files(folder) {
        for (place, event) in records(&path).iter().enumerate() {
            let times = event.iter().filter(|it| matches!(it, (1, Field::Double(time)) if *time > 1.6e9));
            assert_eq!(times.count(), 1, "{event:?}");
            let step = step_of(event);
            assert_eq!(place == 0, text(event, 3) == "brain.Event:2", "{event:?}");
            if let Some(log) = bytes(event, 7).first() {
                assert!(matches!(message(log)[..], [(1, Field::Varint(1))]));
                scalars.retain(|(_, at), _| *at < step);
            }
            for value in bytes(event, 5).iter().flat_map(|summary| bytes(&message(summary), 1)) {
                let value = message(&value);
                for number in value.iter().filter_map(|it| if let (2, Field::Float(v)) = it { Some(*v) } else { None })
                {
                    let former = scalars.insert((text(&value, 1), step), number);
                    assert_eq!(former, None, "{} twice at {step}", text(&value, 1));
                }
            }
        }
    }
    scalars
}

/// Remembers what a run told, and ends it after a step, as a crash would.
struct Told {
    steps: BTreeMap<usize, StepEnd>,
    stop: usize,
}

impl Observer for &mut Told {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.steps.insert(step.step, *step);
        if step.step == self.stop { Err(Error::Candle(candle_core::Error::Msg("stopped".to_owned()))) } else { Ok(()) }
    }
}

fn run(folder: &Path, told: &mut Told) -> Result<History> {
    let net = Net::new(DType::F32);
    let board = TensorBoard::new(folder).histograms(net.vars.clone()).text("notes", "the **first** try");
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
        .epochs(4)
        .checkpoints(Checkpoints::new(folder.join("checkpoints")).every_steps(3))
        .resume(true)
        .observer(board)
        .observer(told)
        .fit(&loader(), Some(&loader()))
}

/// A run that is killed two steps after a checkpoint, in the writing of a record, and resumed; what TensorBoard should show of it.
fn killed_and_resumed(folder: &Path) -> BTreeMap<(String, u64), f32> {
    let mut told = Told { steps: BTreeMap::new(), stop: 14 };
    run(folder, &mut told).unwrap_err();
    let [killed] = &files(folder)[..] else { panic!("one file") };
    let length = fs::metadata(killed).unwrap().len();
    OpenOptions::new().write(true).open(killed).unwrap().set_len(length - 5).unwrap();
    told.stop = usize::MAX;
    let history = run(folder, &mut told).unwrap();
    assert_eq!((told.steps.len(), history.epochs.len()), (20, 4));

    let mut expected = BTreeMap::new();
    let mut expect = |tag: &str, step: usize, value: f64| expected.insert((tag.to_owned(), step as u64), value as f32);
    for (step, end) in &told.steps {
        expect("loss/step", *step, end.loss);
        expect("lr", *step, end.lr);
    }
    for record in &history.epochs {
        for (part, means) in [("train", record.train), ("val", record.val.unwrap())] {
            expect(&format!("loss/{part}"), record.step, means.loss);
            expect(&format!("accuracy/{part}"), record.step, means.accuracy.unwrap());
        }
    }
    expected
}

#[test]
fn a_run_that_was_killed_and_resumed_shows_each_step_once() {
    let folder = tempfile::tempdir().unwrap();
    let expected = killed_and_resumed(folder.path());
    assert_eq!(scalars(folder.path()), expected);
    assert_eq!(files(folder.path()).len(), 2, "a resume appends a file");
    // A fit that starts anew in the folder makes the former be forgotten.
    fs::remove_dir_all(folder.path().join("checkpoints")).unwrap();
    let mut told = Told { steps: BTreeMap::new(), stop: 2 };
    run(folder.path(), &mut told).unwrap_err();
    assert_eq!(scalars(folder.path()).len(), 4);
}

fn start(board: &mut TensorBoard) {
    let (configuration, history) = (BTreeMap::new(), History::default());
    let start = FitStart {
        configuration: &configuration,
        epochs: 1,
        batches_per_epoch: 2,
        epoch: 0,
        batch: 0,
        step: 0,
        history: &history,
        resume: None,
    };
    board.on_fit_start(&start).unwrap();
}

#[test]
fn metrics_histograms_and_texts_are_told_and_the_undefined_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let weight = Var::new(&[[-1f32, 0.0, f32::NAN], [0.5, 1.0, f32::INFINITY]], &Device::Cpu).unwrap();
    let nothing = Var::new(&[f32::NAN], &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("fc.weight".to_owned(), weight), ("nothing".to_owned(), nothing)]);
    let markdown = "# A tïtle\n\n| a | b |";
    let board = TensorBoard::new(folder.path()).every_steps(2).histograms(vars);
    let mut board = board.text("notes", markdown).text("long", "x".repeat(300));
    start(&mut board);
    let running = Metrics { loss: 0.5, accuracy: None, samples: 4 };
    for step in 1..=300 {
        board.on_step(&StepEnd { epoch: 1, batch: step, step, lr: 0.1, loss: 0.25, samples: 4, running }).unwrap();
    }
    let train = Metrics { loss: f64::NAN, accuracy: None, samples: 8 };
    let metrics = [("f1", Some(0.75)), ("auroc", None)].map(|(name, value)| (name.to_owned(), value)).into();
    let record = EpochRecord { epoch: 1, step: 300, lr: 0.1, train, val: None, metrics };
    board.on_epoch_end(&record, &History::default()).unwrap();

    let scalars = scalars(folder.path());
    let tags: Vec<&str> = scalars.keys().filter(|(_, step)| *step == 300).map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["loss/step", "loss/train", "lr", "metrics/f1"]);
    assert_eq!(scalars.len(), 2 * 150 + 2);
    assert_eq!(scalars.get(&("metrics/f1".to_owned(), 300)), Some(&0.75));
    assert!(scalars[&("loss/train".to_owned(), 300)].is_nan());

    let events = records(&files(folder.path())[0]);
    let values = |event: &Message| -> Vec<Message> {
        bytes(event, 5).iter().flat_map(|it| bytes(&message(it), 1)).map(|it| message(&it)).collect()
    };
    for (event, tag, expected) in [(&events[2], "notes", markdown.to_owned()), (&events[3], "long", "x".repeat(300))] {
        let value = &values(event)[0];
        assert_eq!((text(value, 1).as_str(), step_of(event)), (tag, 0));
        let tensor = message(&bytes(value, 8)[0]);
        assert!(matches!(tensor[0], (1, Field::Varint(7))));
        assert_eq!(text(&tensor, 8), expected);
        assert_eq!(text(&message(&text(&message(&bytes(value, 9)[0]), 1).into_bytes()), 1), "text");
    }
    let values = values(events.last().unwrap());
    let histograms: Vec<&Message> = values.iter().filter(|value| !bytes(value, 5).is_empty()).collect();
    assert_eq!(histograms.iter().map(|value| text(value, 1)).collect::<Vec<_>>(), ["weights/fc.weight"]);
    let histogram = message(&bytes(histograms[0], 5)[0]);
    let numbers: Vec<f64> =
        histogram.iter().filter_map(|it| if let (1..=5, Field::Double(v)) = it { Some(*v) } else { None }).collect();
    assert_eq!(numbers, [-1.0, 1.0, 4.0, 0.5, 2.25]);
    let packed = |number| -> Vec<f64> {
        let bytes = bytes(&histogram, number).concat();
        bytes.chunks_exact(8).map(|it| f64::from_le_bytes(it.try_into().unwrap())).collect()
    };
    assert_eq!((packed(6).len(), packed(7).len(), packed(6)[29]), (30, 30, 1.0));
    let counts = [&[1.0][..], &[0.0; 13], &[1.0], &[0.0; 7], &[1.0], &[0.0; 6], &[1.0]].concat();
    assert_eq!(packed(7), counts);
}

#[test]
fn a_folder_that_cannot_be_written_ends_the_fit_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let mut told = Told { steps: BTreeMap::new(), stop: 0 };
    let net = Net::new(DType::F32);
    let mut trainer = Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode)).observer(&mut told);
    trainer = trainer.observer(TensorBoard::new(file.join("below")));
    assert!(trainer.fit(&loader(), None).unwrap_err().to_string().starts_with("cannot create "));
    drop(trainer);
    assert!(told.steps.is_empty());
}

/// For `tests/scripts/read_events.py`.
#[test]
#[ignore = "leaves its files in $TAPER_TEST_FOLDER for TensorBoard's own reader"]
fn leaves_files_for_tensorboard() {
    let folder = PathBuf::from(std::env::var_os("TAPER_TEST_FOLDER").unwrap());
    let expected = killed_and_resumed(&folder);
    let expected: Vec<_> = expected.iter().map(|((tag, step), value)| json!([tag, step, value])).collect();
    fs::write(folder.join("expected.json"), serde_json::to_string(&expected).unwrap()).unwrap();
}
