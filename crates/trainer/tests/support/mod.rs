//! A small network over fixed data, for tests of the loop around it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use candle_core::{DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::{
    ChannelStatistics, ConvSpec, MaxPoolSpec, Mode, batch_norm_eval, batch_norm_with_statistics, conv2d, dropout,
    max_pool2d,
};
use taper_trainer::data::{InMemoryDataset, Loader};

/// 23 samples of shape [2, 6, 5] in three classes, of which the brightest row tells.
pub(crate) fn dataset() -> InMemoryDataset {
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for sample in 0..23usize {
        let class = sample * 7 % 3;
        targets.push(class as u32);
        for i in 0..60 {
            let row = i / 5 % 6;
            let noise = ((sample * 60 + i) as f32 * 12.9898).sin() * 0.6;
            inputs.push(noise + if row / 2 == class { 1.0 } else { 0.0 });
        }
    }
    InMemoryDataset::new(inputs, &[2, 6, 5], targets).unwrap()
}

/// Five batches an epoch, the last of three samples.
pub(crate) fn loader() -> Loader {
    Loader::new(dataset(), 5).unwrap().seed(7).shuffle(true)
}

/// Convolution, batch normalisation where it was asked for, relu, pooling, dropout, linear.
pub(crate) struct Net {
    pub(crate) vars: BTreeMap<String, Var>,
    pub(crate) buffers: BTreeMap<String, Var>,
    dtype: DType,
}

impl Net {
    pub(crate) fn new(dtype: DType) -> Self {
        let var = |shape: &[usize], phase: f32| {
            let values: Vec<f32> =
                (0..shape.iter().product::<usize>()).map(|i| 0.3 * (i as f32 + phase).sin()).collect();
            Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
        };
        let shapes: [(&str, &[usize]); 4] =
            [("conv.bias", &[4]), ("conv.weight", &[4, 2, 3, 2]), ("fc.bias", &[3]), ("fc.weight", &[32, 3])];
        let vars = shapes
            .iter()
            .zip([0.1, 1.2, 2.3, 3.4])
            .map(|((name, shape), phase)| ((*name).to_owned(), var(shape, phase).unwrap()));
        Self { vars: vars.collect(), buffers: BTreeMap::new(), dtype }
    }

    pub(crate) fn with_batch_norm(dtype: DType) -> Self {
        let mut net = Self::new(dtype);
        let [ones, zeros] = [Tensor::ones, Tensor::zeros]
            .map(|f: fn(usize, DType, &Device) -> Result<Tensor>| f(4, dtype, &Device::Cpu).unwrap());
        let count = Tensor::new(0i64, &Device::Cpu).unwrap();
        let var = |name: &str, value: &Tensor| (name.to_owned(), Var::from_tensor(value).unwrap());
        net.vars.extend([var("bn.weight", &ones), var("bn.bias", &zeros)]);
        net.buffers.extend([
            var("bn.running_mean", &zeros),
            var("bn.running_var", &ones),
            var("bn.num_batches_tracked", &count),
        ]);
        net
    }

    pub(crate) fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let x = x.to_dtype(self.dtype)?;
        let x = conv2d(&x, &self.vars["conv.weight"], Some(&self.vars["conv.bias"]), &ConvSpec::default())?;
        let x = if self.buffers.is_empty() { x } else { self.batch_norm(&x, mode)? };
        let x = max_pool2d(&x.relu()?, &MaxPoolSpec::new([1, 2]))?.flatten_from(1)?;
        let x = match mode.draw() {
            Some(draw) => dropout(&x, 0.3, draw)?,
            None => x,
        };
        x.contiguous()?.matmul(&self.vars["fc.weight"])?.broadcast_add(&self.vars["fc.bias"])
    }

    fn batch_norm(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (weight, bias) = (Some(self.vars["bn.weight"].as_tensor()), Some(self.vars["bn.bias"].as_tensor()));
        let [mean, var, count] =
            ["bn.running_mean", "bn.running_var", "bn.num_batches_tracked"].map(|it| &self.buffers[it]);
        if !mode.is_training() {
            let running = ChannelStatistics { mean: mean.as_detached_tensor(), var: var.as_detached_tensor() };
            return Ok(batch_norm_eval(x, &running, weight, bias, 1e-5)?);
        }
        let (y, batch) = batch_norm_with_statistics(x, weight, bias, 1e-5)?;
        for (running, batch) in [(mean, batch.mean), (var, batch.var)] {
            running.set(&((running.as_detached_tensor() * 0.9)? + (batch * 0.1)?)?)?;
        }
        count.set(&(count.as_detached_tensor() + 1.)?)?;
        Ok(y)
    }

    /// All weights and buffers, to the bit.
    pub(crate) fn bits(&self) -> BTreeMap<String, Vec<u64>> {
        let bits = |var: &Var| {
            let values: Vec<f64> = var.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            values.into_iter().map(f64::to_bits).collect()
        };
        self.vars.iter().chain(&self.buffers).map(|(name, var)| (name.clone(), bits(var))).collect()
    }
}
