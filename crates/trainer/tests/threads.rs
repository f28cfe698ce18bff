//! One seed gives the same bits at any number of threads, on tensors large enough to be worth cutting up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use std::collections::BTreeMap;
use taper_ops::{ConvSpec, MaxPoolSpec, Mode, conv2d, dropout, linear, max_pool2d, relu};
use taper_trainer::data::{InMemoryDataset, Loader};
use taper_trainer::optim::{AdamW, AdamWConfig};
use taper_trainer::{History, Trainer};

fn wave(len: usize, frequency: f64) -> Vec<f32> {
    (0..len).map(|i| (i as f64 * frequency).sin() as f32).collect()
}

fn forward(vars: &BTreeMap<String, Var>, x: &Tensor, mode: &Mode) -> candle_core::Result<Tensor> {
    let spec = ConvSpec::default().padding([1, 2]);
    let x = relu(&conv2d(x, &vars["conv.weight"], Some(&vars["conv.bias"]), &spec)?)?;
    let x = max_pool2d(&x, &MaxPoolSpec::new(2))?.flatten_from(1)?;
    let x = match mode.draw() {
        Some(draw) => dropout(&x, 0.25, draw)?,
        None => x,
    };
    let x = relu(&linear(&x, &vars["fc1.weight"], Some(&vars["fc1.bias"]))?)?;
    Ok(linear(&x, &vars["fc2.weight"], None)?)
}

/// Weights after six steps with batches of 33 images [3, 20, 18], and the history.
fn train(threads: usize) -> (BTreeMap<String, Vec<u32>>, History) {
    let shapes: [(&str, &[usize], f64); 5] = [
        ("conv.bias", &[12], 0.1),
        ("conv.weight", &[12, 3, 3, 5], 0.05),
        ("fc1.bias", &[150], 0.1),
        // More elements than one task of the optimiser takes.
        ("fc1.weight", &[150, 1080], 0.02),
        ("fc2.weight", &[10, 150], 0.1),
    ];
    let vars: BTreeMap<String, Var> = shapes
        .iter()
        .map(|(name, shape, scale)| {
            let values = Tensor::from_vec(wave(shape.iter().product(), 1.7), *shape, &Device::Cpu).unwrap();
            ((*name).to_owned(), Var::from_tensor(&values.affine(*scale, 0.0).unwrap()).unwrap())
        })
        .collect();
    let dataset = InMemoryDataset::new(wave(99 * 1080, 0.37), &[3, 20, 18], (0..99).map(|i| i * 7 % 10).collect());
    let loader = Loader::new(dataset.unwrap(), 33).unwrap().shuffle(true).workers(threads);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let mut trainer = Trainer::new(vars.clone(), |x, mode| forward(&vars, x, mode))
            .optimizer(AdamW::new(AdamWConfig { lr: 0.01, ..Default::default() }).unwrap())
            .clip_norm(0.5)
            .epochs(2)
            .seed(5);
        let history = trainer.fit(&loader, Some(&loader)).unwrap();
        let bits = |var: &Var| -> Vec<u32> {
            assert_eq!(var.dtype(), DType::F32);
            var.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        (vars.iter().map(|(name, var)| (name.clone(), bits(var))).collect(), history)
    })
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_trained_network() {
    let one = train(1);
    assert!(one.1.epochs[1].train.loss < one.1.epochs[0].train.loss);
    for threads in [2, 3] {
        assert!(train(threads) == one, "{threads} threads");
    }
}
