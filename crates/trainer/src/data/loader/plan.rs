//! What one epoch's batches hold, and how one of them is loaded, by whichever thread.

use candle_core::{Device, Tensor};

use super::super::{Draws, Sample, Samples, Targets, panics};
use super::source::{Drawn, Read};
use super::{Batch, Loader};
use crate::{Error, Result};

/// All that decides what the batches of one epoch hold.
pub(super) struct Plan {
    pub(super) loader: Loader,
    pub(super) read: Read,
    pub(super) epoch: u32,
}

impl Plan {
    /// Batch `batch`. Of a stream each batch is loaded once, and those before it must be under way.
    pub(super) fn load(&self, batch: usize) -> Result<RawBatch> {
        let drawn = self.read.batch(batch, self.loader.batch_size)?;
        let shape = self.loader.input_shape()?;
        let mut inputs = Vec::with_capacity(drawn.len() * shape.iter().product::<usize>());
        let (mut targets, mut indices) = (Vec::with_capacity(drawn.len()), Vec::with_capacity(drawn.len()));
        for drawn in drawn {
            let index = drawn.index;
            // After a panic the epoch is over, so nothing is read again that it may have left half-changed.
            let sample = panics::catch(|| self.transform(drawn))
                .unwrap_or_else(|message| Err(Error::LoadPanic { index, message }))?;
            inputs.extend_from_slice(&sample.input);
            targets.push(sample.target);
            indices.push(index);
        }
        let mut samples = Samples { inputs, shape, targets: Targets::Classes(targets) };
        for (place, transform) in (0..).zip(&self.loader.batch_transforms) {
            let mut draws = Draws::for_batch(self.loader.seed, self.epoch, batch, place);
            panics::catch(|| transform.apply(&mut samples, &mut draws)).unwrap_or_else(|message| {
                let transform = format!("{transform:?}");
                Err(Error::BatchTransformPanic { transform, batch, message })
            })?;
        }
        Ok(RawBatch { samples, indices })
    }

    fn transform(&self, Drawn { index, number, sample }: Drawn) -> Result<Sample> {
        let mut shape = self.loader.source.input_shape().to_vec();
        let Sample { mut input, target } = sample;
        check_shape(index, &input, &shape)?;
        for (place, transform) in (0..).zip(&self.loader.transforms) {
            let mut draws = Draws::for_sample(self.loader.seed, self.epoch, number, place);
            let output_shape = transform.output_shape(&shape)?;
            input = transform.apply(input, &shape, &mut draws)?;
            shape = output_shape;
            check_shape(index, &input, &shape)?;
        }
        Ok(Sample { input, target })
    }
}

/// A batch on its way between threads; the thread that takes it makes the tensors.
pub(super) struct RawBatch {
    samples: Samples,
    indices: Vec<usize>,
}

impl RawBatch {
    pub(super) fn into_tensors(self, device: &Device) -> Result<Batch> {
        let Self { samples: Samples { inputs, shape, targets }, indices } = self;
        let shape = [&[indices.len()], shape.as_slice()].concat();
        let targets = match targets {
            Targets::Classes(classes) => Tensor::from_vec(classes, indices.len(), device)?,
            Targets::Probabilities { values, classes } => Tensor::from_vec(values, (indices.len(), classes), device)?,
        };
        Ok(Batch { inputs: Tensor::from_vec(inputs, shape, device)?, targets, indices })
    }
}

fn check_shape(index: usize, input: &[f32], shape: &[usize]) -> Result<()> {
    if input.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::SampleShape { index, values: input.len(), shape: shape.to_vec() })
}
