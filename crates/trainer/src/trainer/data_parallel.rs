//! A step that several processes take together, each on its part of the batch.

use super::Trainer;
use super::fit::Data;
use crate::distributed::ProcessGroup;
use crate::metrics::Totals;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// The group, and what the processes agreed on last.
#[derive(Debug)]
pub(super) struct DataParallel {
    group: ProcessGroup,
    /// Whether one of the processes had been asked to stop.
    stop: bool,
}

impl Trainer<'_> {
    /// Trains together with the other processes of `group`, each of which runs the same program: with the same data, the same
    /// seeds and the same settings, its weights on a device of its own.
    ///
    /// Process r of W takes the r-th of W parts of every batch. The gradients are those of the whole batch's mean loss, added up by
    /// rank, so that every process steps its weights to the same bits: those of one process that takes the batch in W pieces
    /// by [`micro_batch`](Trainer::micro_batch), as long as the parts are of one size and no buffer moves. The batch size is
    /// that of all processes together, and so are losses and metrics. After each step, buffers such as running statistics
    /// are set to their mean over the processes. Every process loads whole batches, and evaluates the whole validation set.
    ///
    /// Observers are told, and checkpoints written, by rank 0 alone. A fit that resumes reads the checkpoint in every process,
    /// so their folder must be one that all of them see. Where one process is asked to stop, all of them do, after the same
    /// step. Where one fails, all of them do.
    ///
    /// ```no_run
    /// use candle_core::{DType, Device, Var};
    /// use std::collections::BTreeMap;
    /// use taper_trainer::Trainer;
    /// use taper_trainer::data::{InMemoryDataset, Loader};
    /// use taper_trainer::distributed::{ProcessGroup, Rendezvous};
    ///
    /// // One of two processes that one machine runs; rank 1 does the same.
    /// let group = ProcessGroup::connect(&Rendezvous::new(0, 2, "127.0.0.1:29500"))?;
    /// let train = Loader::new(InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?, 4)?;
    /// let weight = Var::zeros((2, 2), DType::F32, &Device::Cpu)?;
    /// let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    /// Trainer::new(vars, |x, _| x.matmul(&weight)).data_parallel(group).fit(&train, None)?;
    /// # Ok::<(), taper_trainer::Error>(())
    /// ```
    pub fn data_parallel(mut self, group: ProcessGroup) -> Self {
        self.data_parallel = Some(DataParallel { group, stop: false });
        self
    }

    /// The samples of a batch that this process computes with.
    pub(super) fn share(&self, samples: usize) -> Range<usize> {
        let Some(DataParallel { group, .. }) = &self.data_parallel else { return 0..samples };
        // A remainder of samples goes to the first processes, one each.
        let (least, more) = (samples / group.world_size(), samples % group.world_size());
        let begin = |rank: usize| rank * least + rank.min(more);
        begin(group.rank())..begin(group.rank() + 1)
    }

    /// How many processes train together, where any do.
    pub(super) fn processes(&self) -> Option<usize> {
        self.data_parallel.as_ref().map(|it| it.group.world_size())
    }

    /// Whether this process tells observers and writes files.
    pub(super) fn leads(&self) -> bool {
        self.data_parallel.as_ref().is_none_or(|it| it.group.rank() == 0)
    }

    /// Whether a flag asks to stop; in a group, whether any did by the last step.
    pub(super) fn asked_to_stop(&self) -> bool {
        self.data_parallel.as_ref().map_or_else(|| self.own_flag(), |it| it.stop)
    }

    fn own_flag(&self) -> bool {
        self.stop.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// What all processes' parts of a batch come to, from this one's mean loss and gradients, which are weighted by its share.
    /// Their sums are added to `totals`.
    pub(super) fn exchange(
        &mut self,
        mean: f64,
        grads: BTreeMap<String, Tensor>,
        own: &Totals,
        totals: &mut Totals,
    ) -> Result<(f64, BTreeMap<String, Tensor>)> {
        let stop = f64::from(u8::from(self.own_flag()));
        let Some(it) = &mut self.data_parallel else { return Ok((mean, grads)) };
        let names: Vec<&String> = self.trainable.keys().collect();
        let there = names.iter().map(|name| f64::from(u8::from(grads.contains_key(*name))));
        let said: Vec<f64> = [mean, stop].into_iter().chain(own.numbers()).chain(there).collect();
        let count = said.len() - names.len();
        let all = it.group.all_gather(&Tensor::new(said, &Device::Cpu)?)?;
        let all: Vec<Vec<f64>> = all.iter().map(Tensor::to_vec1).collect::<candle_core::Result<_>>()?;
        it.stop = all.iter().any(|said| said[1] > 0.0);
        let mean = all.iter().map(|said| said[0]).sum();
        for said in &all {
            if let [_, _, loss, samples, correct, total, ..] = said[..] {
                totals.add_numbers([loss, samples, correct, total]);
            }
        }

        let reached = |place: usize| all.iter().any(|said| said[count + place] > 0.0);
        let reached = (0..).zip(&self.trainable).filter(|(place, _)| reached(*place)).map(|(_, var)| var);
        let mut tensors = Vec::new();
        let vars: BTreeMap<String, Var> = reached.map(|(name, var)| (name.clone(), var.clone())).collect();
        for (name, var) in &vars {
            tensors.push(grads.get(name).map_or_else(|| var.zeros_like(), |grad| Ok(grad.clone()))?);
        }
        let sums = reduced(&mut it.group, &tensors)?;
        Ok((mean, vars.into_keys().zip(sums).collect()))
    }

    /// Sets the buffers that hold numbers with a fraction to their mean over the processes.
    pub(super) fn average_buffers(&mut self) -> Result<()> {
        let Some(it) = &mut self.data_parallel else { return Ok(()) };
        let vars: Vec<&Var> = self.buffers.values().filter(|var| var.dtype().is_float()).collect();
        let share = 1.0 / it.group.world_size() as f64;
        let parts: Vec<Tensor> = vars.iter().map(|var| var.affine(share, 0.0)).collect::<candle_core::Result<_>>()?;
        let means = reduced(&mut it.group, &parts)?;
        vars.iter().zip(means).try_for_each(|(var, mean)| Ok(var.set(&mean)?))
    }

    /// Waits until all processes have come this far.
    pub(super) fn meet(&mut self) -> Result<()> {
        if let Some(it) = &mut self.data_parallel {
            it.group.all_gather(&Tensor::zeros(1, DType::F32, &Device::Cpu)?)?;
        }
        Ok(())
    }

    /// Refuses processes that would not train the same model from here on.
    pub(super) fn agree(&mut self, data: Data<'_>) -> Result<()> {
        if self.data_parallel.is_none() {
            return Ok(());
        }
        let mut weights = crc32fast::Hasher::new();
        for var in self.vars.values().chain(self.buffers.values()) {
            let numbers = var.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            numbers.iter().for_each(|number| weights.update(&number.to_le_bytes()));
        }
        let configuration =
            format!("{:?}, {} epochs, {:?}", self.configuration(data), self.epochs, self.early_stopping);
        let said = [
            (f64::from(crc32fast::hash(configuration.as_bytes())), "the settings", "give every process the same"),
            (
                self.position.step as f64,
                "the steps that are done",
                "keep checkpoints in a folder that all processes see",
            ),
            (f64::from(weights.finalize()), "the weights", "build the model from the same seed in every process"),
        ];
        let Some(it) = &mut self.data_parallel else { return Ok(()) };
        let all = it.group.all_gather(&Tensor::new(&said.map(|(number, ..)| number), &Device::Cpu)?)?;
        let all: Vec<Vec<f64>> = all.iter().map(Tensor::to_vec1).collect::<candle_core::Result<_>>()?;
        for (place, (_, what, remedy)) in said.into_iter().enumerate() {
            let other = all.iter().position(|said| said[place].to_bits() != all[0][place].to_bits());
            if let Some(rank) = other {
                return Err(Error::RanksDiffer { what, rank, remedy });
            }
        }
        Ok(())
    }

    /// After a failure: what the other processes wait for will not come.
    pub(super) fn leave(&mut self) {
        if let Some(it) = &mut self.data_parallel {
            it.group.leave();
        }
    }
}

/// The sums of the tensors over the processes, in one exchange.
fn reduced(group: &mut ProcessGroup, tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    if tensors.is_empty() {
        return Ok(Vec::new());
    }
    let double = tensors.iter().any(|tensor| tensor.dtype() == DType::F64);
    let dtype = if double { DType::F64 } else { DType::F32 };
    let flat = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(dtype);
    let flat = Tensor::cat(&tensors.iter().map(flat).collect::<candle_core::Result<Vec<_>>>()?, 0)?;
    let sums = group.all_reduce(&flat)?;
    let mut from = 0;
    let mut split = |tensor: &Tensor| {
        let sum = sums.narrow(0, from, tensor.elem_count())?.reshape(tensor.shape())?.to_dtype(tensor.dtype());
        from += tensor.elem_count();
        sum
    };
    Ok(tensors.iter().map(&mut split).collect::<candle_core::Result<_>>()?)
}
