//! The `train` command: trains, and leaves the model, its figures and its pictures in a folder.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use taper::layers::{Layer, LayerCall, Sequential, VarStore, draw, observe, summary};
use taper::ops::Mode;
use taper::trainer::data::{Dataset, InMemoryDataset, save_image_grid};
use taper::trainer::distributed::ProcessGroup;
use taper::trainer::{self, EpochRecord, History, HtmlReport, prepare_folder, write_atomic};
use taper::{DType, Device};

use crate::cli::TrainArgs;
use crate::data::{self, Digits};
use crate::digit::SIDE;
use crate::error::{Error, Result};
use crate::model;
use crate::pictures::{self, Epoch, Mistake, Stage};
use crate::readings::{self, Reading};
use crate::trial;

/// The test digit whose way through the net is drawn.
const SHOWN: usize = 0;

/// Trains as `args` say, together with the other processes of the group where there is one. What it tells goes to `out`; the
/// progress goes to the standard error.
pub(crate) fn train(
    args: &TrainArgs,
    device: &Device,
    group: Option<ProcessGroup>,
    out: &mut impl Write,
) -> Result<()> {
    let digits = data::load(&args.data.data)?;
    let store = VarStore::new(args.seed, DType::F32, device);
    let net = model::network(store.builder())?;
    if trial::asked_for(&args.debug) {
        return trial::run(&net, &store, &digits, args, out);
    }
    let dir = args.out.as_path();
    let report = HtmlReport::new(dir.join("report.html"));
    if group.as_ref().is_some_and(|group| group.rank() > 0) {
        // Rank 0 tells and writes what there is to be told.
        fit(args, &net, &store, &digits, report, group)?;
        return Ok(());
    }
    prepare_folder(dir)?;
    let side = SIDE as usize;
    let table = summary(&net, (1, 1, side, side), DType::F32, device)?;
    writeln!(out, "{table}")?;
    let drawing = draw(&table);
    write_atomic(&dir.join("network.svg"), drawing.as_bytes())?;
    let (learnt, judged, epochs) = (digits.train.len(), digits.test.len(), args.epochs);
    writeln!(out, "training digits: {learnt}, test digits: {judged}, epochs: {epochs}")?;
    out.flush()?;

    if args.draw_batch {
        for batch in model::training_batches(&digits, args)?.workers(0).epoch(0, 0).take(1) {
            save_image_grid(dir.join("augmented.png"), &batch?.inputs, 8, 3)?;
        }
    }

    let report = report
        .title("Handwritten digits")
        .note("data", format!("{learnt} training digits, {judged} test digits, {}", args.data.data))
        .table(table.to_string())
        .drawing(drawing)
        .predictions(&model::batches(&digits.test, device)?, |x| net.forward_in(x, &Mode::eval()));
    let start = Instant::now();
    let history = fit(args, &net, &store, &digits, report, group)?;
    writeln!(out, "trained in {:.1} s", start.elapsed().as_secs_f64())?;

    store.save(dir.join("model.safetensors"))?;
    let readings = readings::read(&net, &digits.test, device)?;
    draw_pictures(&digits, &history, &readings, &stages(&net, &digits.test, device)?, dir)?;
    tell(dir, out)?;
    writeln!(out, "test accuracy: {:.2} %", 100.0 * readings::accuracy(&readings, &digits.test))?;
    Ok(())
}

/// Trains until the end, or until it is asked to stop.
fn fit(
    args: &TrainArgs,
    net: &Sequential,
    store: &VarStore,
    digits: &Digits,
    report: HtmlReport<'_>,
    group: Option<ProcessGroup>,
) -> Result<History> {
    let interruption = Interruption::install()?;
    let stop = Arc::clone(&interruption.asked);
    let history = model::train(net, store, digits, args, report, stop, group).map_err(|error| match error {
        trainer::Error::Stopped { .. } => Error::new(format!("{error}; start the same command with `--resume`")),
        other => other.into(),
    })?;
    interruption.end_at_once();
    Ok(history)
}

/// What Ctrl-C and SIGTERM do: the first one asks the training to stop, the second one ends the program at once.
struct Interruption {
    /// Whether one has come.
    asked: Arc<AtomicBool>,
    /// Whether nobody heeds `asked` any more.
    at_once: Arc<AtomicBool>,
}

impl Interruption {
    fn install() -> Result<Self> {
        let [asked, at_once] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let interruption = Self { asked: Arc::clone(&asked), at_once: Arc::clone(&at_once) };
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::Relaxed) || at_once.load(Ordering::Relaxed) {
                // What a shell reports of a program that Ctrl-C ended.
                std::process::exit(130);
            }
        })?;
        Ok(interruption)
    }

    /// From here on the first one ends the program, since what it writes is whole at any moment.
    fn end_at_once(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }
}

fn tell(dir: &Path, out: &mut impl Write) -> Result<()> {
    let dir = dir.display();
    writeln!(out, "\nin {dir}:")?;
    for (file, what) in [
        ("model.safetensors", "the weights, under PyTorch's names"),
        ("metrics.csv", "loss and accuracy of each epoch"),
        ("curves.png", "the same, drawn"),
        ("mistakes.png", "the test digits it misread"),
        ("report.html", "all of it on one page, with the digits it is most wrong about"),
        ("network.svg", "the network, drawn"),
        ("feature_maps.png", "what each convolution and each pooling makes of one digit"),
        ("checkpoints/", "what --resume goes on from"),
    ] {
        writeln!(out, "  {file:<18} {what}")?;
    }
    writeln!(out, "\nto try next:")?;
    for (command, what) in [
        (format!("predict --model {dir}/model.safetensors PICTURE.png"), "read a digit you drew"),
        (format!("eval --model {dir}/model.safetensors"), "judge the model again"),
        ("--seed 2 --out runs/seed2".to_owned(), "train another one"),
    ] {
        writeln!(out, "  cargo run --release -p mnist -- {command:<58} {what}")?;
    }
    Ok(writeln!(out)?)
}

fn draw_pictures(digits: &Digits, history: &History, readings: &[Reading], stages: &[Stage], dir: &Path) -> Result<()> {
    let epochs: Vec<Epoch> = history.epochs.iter().filter_map(epoch).collect();
    pictures::curves(&dir.join("curves.png"), &epochs)?;
    pictures::mistakes(&dir.join("mistakes.png"), mistakes(&digits.test, readings)?, digits.test.len())?;
    pictures::feature_maps(&dir.join("feature_maps.png"), stages)
}

fn epoch(record: &EpochRecord) -> Option<Epoch> {
    let val = record.val?;
    Some(Epoch {
        epoch: record.epoch,
        train_loss: record.train.loss,
        test_loss: val.loss,
        train_accuracy: record.train.accuracy?,
        test_accuracy: val.accuracy?,
    })
}

fn mistakes(digits: &InMemoryDataset, readings: &[Reading]) -> Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for (i, (reading, &truth)) in readings.iter().zip(digits.targets()).enumerate() {
        let (predicted, confidence) = reading.first;
        if predicted != truth {
            mistakes.push(Mistake { pixels: digits.get(i)?.input, truth, predicted, confidence });
        }
    }
    Ok(mistakes)
}

/// The digit itself, and what each convolution and each pooling makes of it.
fn stages(net: &Sequential, digits: &InMemoryDataset, device: &Device) -> Result<Vec<Stage>> {
    let digit = digits.get(SHOWN)?;
    let alone = InMemoryDataset::new(digit.input.clone(), digits.input_shape(), vec![digit.target])?;
    let Some(batch) = model::batches(&alone, device)?.epoch(0, 0).next() else { return Ok(Vec::new()) };
    let inputs = batch?.inputs;
    let (scores, calls) = observe(|| net.forward_in(&inputs, &Mode::eval()));
    scores?;
    let side = SIDE as usize;
    let input = Stage {
        name: "input".to_owned(),
        remark: "one test digit",
        maps: vec![digit.input],
        rows: side,
        columns: side,
    };
    let layers = calls.iter().filter_map(|call| stage(call).transpose());
    std::iter::once(Ok(input)).chain(layers).collect()
}

fn stage(call: &LayerCall) -> Result<Option<Stage>> {
    let remark = match call.kind.as_str() {
        "Conv2d" => "finds features, keeps the map",
        "MaxPool2d" => "keeps the strongest of 2 × 2",
        _ => return Ok(None),
    };
    let (_, _, rows, columns) = call.output.dims4()?;
    let maps = call.output.squeeze(0)?.flatten_from(1)?.to_vec2()?;
    Ok(Some(Stage { name: call.name.clone(), remark, maps, rows, columns }))
}
