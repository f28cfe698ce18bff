//! The network and its training: what a program of your own would change.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taper::prelude::*;
use taper::trainer::data::{InMemoryDataset, Loader, Normalize, RandomAffine};
use taper::trainer::distributed::ProcessGroup;
use taper::trainer::schedule::OneCycle;
use taper::trainer::{self, Checkpoints, CsvLog, History, HtmlReport, Progress, Trainer};

use crate::cli::TrainArgs;
use crate::data::Digits;

/// Two convolutions find features, two poolings narrow the map, dropout keeps the net honest.
pub(crate) fn network(vb: VarBuilder<'_>) -> taper::Result<Sequential> {
    Ok(Sequential::new()
        .add(Conv2d::new(1, 16, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Conv2d::new(16, 32, 3, Conv2dConfig::default().padding(1), vb.pp("conv2"))?)
        .add(ReLU)
        .add(MaxPool2d::new(2))
        .add(Flatten::default())
        .add(Dropout::new(0.25))
        .add(Linear::new(32 * 7 * 7, 128, vb.pp("fc1"))?)
        .add(ReLU)
        .add(Dropout::new(0.25))
        .add(Linear::new(128, 10, vb.pp("fc2"))?))
}

/// Trains the variables of `net` until `stop`, and leaves the metrics and the checkpoints in `out`.
pub(crate) fn train(
    net: &Sequential,
    store: &VarStore,
    digits: &Digits,
    args: &TrainArgs,
    report: HtmlReport<'_>,
    stop: Arc<AtomicBool>,
    group: Option<ProcessGroup>,
) -> trainer::Result<History> {
    let (train, out) = (training_batches(digits, args)?, &args.out);
    let mut trainer = trainer(net, store, args, train.batches_per_epoch())
        .checkpoints(Checkpoints::new(out.join("checkpoints")).every_steps(100))
        .resume(args.resume)
        .stop_when(stop)
        .observer(Progress::stderr())
        .observer(CsvLog::new(out.join("metrics.csv")))
        .observer(report);
    if let Some(group) = group {
        trainer = trainer.data_parallel(group);
    }
    if let Some(batches) = args.debug.overfit_batches {
        trainer = trainer.overfit_batches(batches as usize);
    }
    trainer.fit(&train, Some(&batches(&digits.test, &Device::Cpu)?))
}

/// What trains the variables of `net`: the recipe, without what it leaves behind.
pub(crate) fn trainer<'a>(
    net: &'a Sequential,
    store: &VarStore,
    args: &TrainArgs,
    batches_per_epoch: usize,
) -> Trainer<'a> {
    let epochs = args.epochs as usize;
    Trainer::new(store.vars(), |x, mode| net.forward_in(x, mode))
        .buffers(store.buffers())
        .schedule(OneCycle::new(args.lr, epochs * batches_per_epoch))
        .epochs(epochs)
        .seed(args.seed)
        .sanity_validation(1)
        .detect_anomaly(args.debug.detect_anomaly)
        .observe_layers(observe_outputs)
}

/// Digits to learn from: each epoch sees each digit a little shifted, turned and scaled.
pub(crate) fn training_batches(digits: &Digits, args: &TrainArgs) -> trainer::Result<Loader> {
    Ok(Loader::new(digits.train.clone(), args.batch_size as usize)?
        .seed(args.seed)
        .shuffle(true)
        .transform(RandomAffine::new(12.0, [0.07, 0.07], [0.88, 1.12])?)
        .transform(normalize()?))
}

/// Digits as the net reads them outside of training: in order, unmoved, on the net's device.
pub(crate) fn batches(digits: &InMemoryDataset, device: &Device) -> trainer::Result<Loader> {
    Ok(Loader::new(digits.clone(), 500)?.transform(normalize()?).device(device))
}

/// To MNIST's deviation of 1. The mean is left where it is: the ground stays 0, as the convolutions' padding is.
fn normalize() -> trainer::Result<Normalize> {
    Normalize::new(&[0.0], &[0.3081])
}
