//! The training loop: forward, loss, gradients, step; epoch after epoch, with checkpoints and observers.

mod anomaly;
mod best;
#[cfg(feature = "gradcheck")]
mod check_gradients;
mod data_parallel;
mod debug;
mod determinism;
mod ema;
mod evaluate;
mod find_lr;
mod fit;
mod mixed_precision;
mod resume;
mod snapshot;
mod step;

pub use anomaly::AnomalyPlace;
pub use ema::Ema;
pub use find_lr::{LrCurve, LrFinder, LrPoint};
pub(crate) use fit::Position;
pub use mixed_precision::LossScale;

use data_parallel::DataParallel;
use debug::DebugAids;
use ema::Averages;
use mixed_precision::MixedPrecision;

use crate::data::Loader;
use crate::optim::{AdamW, Optimizer};
use crate::pattern::Pattern;
use crate::{Checkpoints, EarlyStopping, Error, Metric, Observer, Result, Schedule};
use candle_core::{Device, Tensor, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use taper_ops::{CrossEntropySpec, Mode, cross_entropy};

type Forward<'a> = dyn Fn(&Tensor, &Mode) -> candle_core::Result<Tensor> + 'a;
type Loss<'a> = dyn Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor> + 'a;

/// Trains variables, evaluates and predicts.
///
/// It knows no layer: it is handed the variables by name and a forward function from inputs and [`Mode`] to logits. One
/// seed gives the same bits at any number of threads, and after a resume at any step.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use std::collections::BTreeMap;
/// use taper_trainer::Trainer;
/// use taper_trainer::data::{InMemoryDataset, Loader};
/// use taper_trainer::optim::{Sgd, SgdConfig};
///
/// # fn main() -> taper_trainer::Result<()> {
/// // Class 1 is where the second feature is the larger one.
/// let inputs = (0..120).map(|i| (i * 37 % 11) as f32 / 11.).collect::<Vec<_>>();
/// let targets = inputs.chunks(2).map(|x| u32::from(x[1] > x[0])).collect();
/// let train = Loader::new(InMemoryDataset::new(inputs, &[2], targets)?, 16)?.seed(1).shuffle(true);
///
/// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
/// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
/// let mut trainer = Trainer::new(vars, |x, _| x.matmul(&weight))
///     .optimizer(Sgd::new(SgdConfig { lr: 1.0, ..Default::default() })?)
///     .epochs(20)
///     .seed(1);
/// let history = trainer.fit(&train, None)?;
/// assert_eq!(history.epochs.len(), 20);
/// assert!(trainer.evaluate(&train)?.overall.accuracy > Some(0.9));
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a> {
    vars: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
    forward: Box<Forward<'a>>,
    loss: Box<Loss<'a>>,
    optimizer: Box<dyn Optimizer + 'a>,
    schedule: Option<Box<dyn Schedule + 'a>>,
    frozen: Vec<Pattern>,
    /// The variables that are not frozen, from the start of a fit on.
    trainable: BTreeMap<String, Var>,
    /// The variables as the optimiser sees them: those of half precision by their masters.
    optimized: BTreeMap<String, Var>,
    mixed_precision: Option<MixedPrecision>,
    clip_value: Option<f64>,
    clip_norm: Option<f64>,
    micro_batch: Option<usize>,
    data_parallel: Option<DataParallel>,
    ema: Option<Averages>,
    seed: u64,
    epochs: usize,
    /// Borrowed for the time of one evaluation, which hands out none of them.
    metrics: RefCell<Vec<Box<dyn Metric + 'a>>>,
    early_stopping: Option<EarlyStopping>,
    checkpoints: Option<Checkpoints>,
    resume: bool,
    stop: Option<Arc<AtomicBool>>,
    observers: Vec<Box<dyn Observer + 'a>>,
    debug: DebugAids<'a>,
    position: Position,
}

impl<'a> Trainer<'a> {
    /// Trains `vars`, which `forward` computes with: for one epoch with seed 0, by AdamW with its defaults, on the cross
    /// entropy of the logits, unless something else is asked for.
    pub fn new(
        vars: BTreeMap<String, Var>,
        forward: impl Fn(&Tensor, &Mode) -> candle_core::Result<Tensor> + 'a,
    ) -> Self {
        let loss =
            |logits: &Tensor, targets: &Tensor| Ok(cross_entropy(logits, targets, &CrossEntropySpec::default())?);
        Self {
            vars,
            buffers: BTreeMap::new(),
            forward: Box::new(forward),
            loss: Box::new(loss),
            optimizer: Box::new(AdamW::default()),
            schedule: None,
            frozen: Vec::new(),
            trainable: BTreeMap::new(),
            optimized: BTreeMap::new(),
            mixed_precision: None,
            clip_value: None,
            clip_norm: None,
            micro_batch: None,
            data_parallel: None,
            ema: None,
            seed: 0,
            epochs: 1,
            metrics: RefCell::default(),
            early_stopping: None,
            checkpoints: None,
            resume: false,
            stop: None,
            observers: Vec::new(),
            debug: DebugAids::default(),
            position: Position::default(),
        }
    }

    /// What `forward` itself moves in training, such as the running statistics of batch normalisation. Checkpoints hold
    /// it, or a resumed run would begin with fresh statistics; no optimiser sees it.
    pub fn buffers(mut self, buffers: BTreeMap<String, Var>) -> Self {
        self.buffers = buffers;
        self
    }

    /// The loss: a function from the forward's output and the targets to a scalar, the mean over the batch.
    pub fn loss(mut self, loss: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor> + 'a) -> Self {
        self.loss = Box::new(loss);
        self
    }

    /// What steps the variables; [`AdamW`] with its defaults unless another is given.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'a) -> Self {
        self.optimizer = Box::new(optimizer);
        self
    }

    /// The learning rate of each step; by default the optimiser's own.
    pub fn schedule(mut self, schedule: impl Schedule + 'a) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Leaves the variables whose names fit one of `patterns`, in which each `*` stands for any characters, as they are. A
    /// tied variable is frozen by any of its names. Each pattern must fit a variable, and one variable must remain.
    ///
    /// Their gradients are dropped before clipping, as if they were not there. candle computes them all the same, for every
    /// `Var` that the forward reads. Where that time matters, freeze the layers as they are built, by `taper::layers`'
    /// `VarStore::freeze`: they then hold plain tensors. Running statistics are buffers and move on.
    pub fn freeze<'b>(mut self, patterns: impl IntoIterator<Item = &'b str>) -> Self {
        self.frozen.extend(patterns.into_iter().map(Pattern::new));
        self
    }

    /// Holds every element of a step's gradients between `-max_value` and `max_value`, before
    /// [`clip_norm`](Trainer::clip_norm): `torch.nn.utils.clip_grad_value_`.
    pub fn clip_value(mut self, max_value: f64) -> Self {
        self.clip_value = Some(max_value);
        self
    }

    /// Scales the gradients of a step down where the norm of all of them together exceeds `max_norm`.
    pub fn clip_norm(mut self, max_norm: f64) -> Self {
        self.clip_norm = Some(max_norm);
        self
    }

    /// Takes the gradients of a batch in pieces of `samples` samples, the last of which may be smaller, so that a batch may be
    /// larger than memory allows at once. Steps, schedules and checkpoints do not change.
    ///
    /// The gradients are those of the batch's mean loss, each piece weighted by its samples, and dropout draws what it would
    /// have drawn for the whole. So the outcome is that of the whole batch, to rounding, where the loss is a mean over
    /// samples and the forward treats each by itself; batch normalisation takes the statistics of a piece.
    pub fn micro_batch(mut self, samples: usize) -> Self {
        self.micro_batch = Some(samples);
        self
    }

    /// Keeps an average of the weights over the steps. Validation, [`evaluate`](Trainer::evaluate) and
    /// [`predict`](Trainer::predict) use it; the variables themselves go on as they would without it, until
    /// [`apply_ema`](Trainer::apply_ema). Buffers are not averaged.
    pub fn ema(mut self, ema: Ema) -> Self {
        self.ema = Some(Averages { config: ema, values: BTreeMap::new() });
        self
    }

    /// The seed of what the forward draws: dropout. The order of the data is the loader's affair.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many epochs there are, those of a resumed run included.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Computes `metric` on the validation set at the end of each epoch, and in each [`evaluate`](Trainer::evaluate), beside those
    /// that were added before; each must go by a name of its own. The history and what observers write of it hold its values.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{Auroc, Average, F1, Trainer};
    ///
    /// let data = InMemoryDataset::new(vec![0.5, 0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.6], &[2], vec![0, 1, 0, 1])?;
    /// let loader = Loader::new(data, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// let mut trainer =
    ///     Trainer::new(vars, |x, _| x.matmul(&weight)).metric(Auroc::default()).metric(F1::new(Average::Macro)).epochs(40);
    /// let history = trainer.fit(&loader, Some(&loader))?;
    /// assert_eq!(history.epochs[39].metrics["auroc"], Some(1.0));
    /// assert_eq!(trainer.evaluate(&loader)?.metrics["f1_macro"], history.epochs[39].metrics["f1_macro"]);
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn metric(mut self, metric: impl Metric + 'a) -> Self {
        self.metrics.get_mut().push(Box::new(metric));
        self
    }

    /// Ends a fit before all epochs are done, once it no longer gets better. The last checkpoint is written as at the end of all
    /// epochs, and a fit that resumes from there stays ended. As the number of epochs may, it may be another one in a resumed run.
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Writes checkpoints.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Whether a fit goes on from the newest whole checkpoint, where there is one.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Stops a fit once `flag` is true, which a signal handler or another thread may set: the step at hand is finished, a
    /// checkpoint is written where there are [`checkpoints`](Trainer::checkpoints), and the fit fails with
    /// [`Error::Stopped`]. The run that resumes leaves the bits of one that was never stopped. The flag is looked at after
    /// each step and each epoch, and never cleared.
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use std::sync::Arc;
    /// use std::sync::atomic::AtomicBool;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::{Error, Trainer};
    ///
    /// let train = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 2)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// // In a program, what a handler of Ctrl-C sets.
    /// let flag = Arc::new(AtomicBool::new(true));
    /// let stopped = Trainer::new(vars, |x, _| x.matmul(&weight)).stop_when(flag).fit(&train, None);
    /// assert!(matches!(stopped, Err(Error::Stopped { step: 1, checkpoint: None })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stop_when(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Adds an observer, after those that were added before.
    pub fn observer(mut self, observer: impl Observer + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// The device of the variables.
    fn device(&self) -> Device {
        self.vars.values().next().map_or(Device::Cpu, |var| var.device().clone())
    }
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("vars", &self.vars.keys())
            .field("buffers", &self.buffers.keys())
            .field("optimizer", &self.optimizer)
            .field("schedule", &self.schedule)
            .field("frozen", &self.frozen)
            .field("clip_value", &self.clip_value)
            .field("clip_norm", &self.clip_norm)
            .field("micro_batch", &self.micro_batch)
            .field("data_parallel", &self.data_parallel)
            .field("mixed_precision", &self.mixed_precision.as_ref().map(|mixed| mixed.config))
            .field("ema", &self.ema.as_ref().map(|ema| ema.config))
            .field("seed", &self.seed)
            .field("epochs", &self.epochs)
            .field("metrics", &self.metrics)
            .field("early_stopping", &self.early_stopping)
            .field("checkpoints", &self.checkpoints)
            .field("resume", &self.resume)
            .field("stop", &self.stop)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}

fn not_empty(op: &'static str, loader: &Loader) -> Result<()> {
    if loader.batches_per_epoch() > 0 {
        return Ok(());
    }
    Err(Error::Value { op, argument: "loader", expected: "of at least one batch", value: format!("{loader:?}") })
}

fn scalar(loss: &Tensor) -> Result<f64> {
    if loss.rank() != 0 {
        let value = format!("shape {:?}", loss.dims());
        return Err(Error::Value { op: "Trainer", argument: "loss", expected: "a scalar", value });
    }
    Ok(loss.to_dtype(candle_core::DType::F64)?.to_scalar()?)
}
