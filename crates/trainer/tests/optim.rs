//! Schedules, clipping and optimisers together against PyTorch, and their state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use std::collections::BTreeMap;
use taper_ops::optim::global_norm;
use taper_trainer::optim::{AdamW, AdamWConfig, Optimizer, Sgd, SgdConfig, clip_scale, gradients};
use taper_trainer::schedule::{CosineAnnealing, OneCycle};
use taper_trainer::{Rates, Schedule};

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(floats).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn tensors(value: &Value) -> BTreeMap<String, Tensor> {
    let shapes: BTreeMap<&str, &[usize]> = BTreeMap::from([("bias", &[3][..]), ("weight", &[2, 3][..])]);
    let tensor = |name: &str| Tensor::from_vec(floats(&value[name]), shapes[name], &Device::Cpu).unwrap();
    shapes.keys().map(|name| ((*name).to_owned(), tensor(name))).collect()
}

fn variables(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Var> {
    tensors.iter().map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap())).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn close(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-12 * (1.0 + theirs.abs())
}

fn optimizer(row: &Value) -> Box<dyn Optimizer> {
    let number = |name: &str, default: f64| row["kwargs"].get(name).and_then(Value::as_f64).unwrap_or(default);
    let lr = number("lr", f64::NAN);
    if row["optimizer"] == "sgd" {
        let nesterov = row["kwargs"].get("nesterov").is_some();
        Box::new(Sgd::new(SgdConfig { lr, momentum: number("momentum", 0.0), nesterov, ..Default::default() }).unwrap())
    } else {
        let weight_decay = number("weight_decay", AdamWConfig::default().weight_decay);
        Box::new(AdamW::new(AdamWConfig { lr, weight_decay, ..Default::default() }).unwrap())
    }
}

fn schedule(row: &Value) -> Box<dyn Schedule> {
    let kwargs = &row["schedule_kwargs"];
    let number = |name: &str| kwargs.get(name).and_then(Value::as_f64);
    if row["schedule"] == "cosine" {
        let (max_lr, min_lr) = (row["kwargs"]["lr"].as_f64().unwrap(), number("eta_min").unwrap());
        return Box::new(CosineAnnealing { max_lr, min_lr, total_steps: 20 });
    }
    let mut cycle = OneCycle::new(number("max_lr").unwrap(), 20);
    cycle.pct_start = number("pct_start").unwrap_or(cycle.pct_start);
    cycle.div_factor = number("div_factor").unwrap_or(cycle.div_factor);
    cycle.final_div_factor = number("final_div_factor").unwrap_or(cycle.final_div_factor);
    if kwargs.get("cycle_momentum").is_none() {
        cycle.momentum = Some((number("base_momentum").unwrap_or(0.85), number("max_momentum").unwrap_or(0.95)));
    }
    Box::new(cycle)
}

#[test]
fn schedules_clipping_and_optimisers_are_pytorchs() {
    let golden: Value = serde_json::from_str(include_str!("golden/optim.json")).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let vars = variables(&tensors(&row["start"]));
        let (mut optimizer, schedule) = (optimizer(row), schedule(row));
        schedule.validate().unwrap();
        for (i, step) in row["steps"].as_array().unwrap().iter().enumerate() {
            let rates = schedule.rates(i, &[]);
            assert!(close(rates.lr, step["lr"].as_f64().unwrap()), "{schedule:?} step {i}: {}", rates.lr);
            if let Some(momentum) = rates.momentum {
                assert!(close(momentum, step["momentum"].as_f64().unwrap()), "{schedule:?} step {i}: {momentum}");
            }
            let grads = tensors(&step["grads"]);
            let scale = clip_scale(global_norm(grads.values()).unwrap(), row["max_norm"].as_f64().unwrap());
            optimizer.step(&vars, &grads, rates, scale).unwrap();
            for (name, theirs) in tensors(&step["params"]) {
                for (ours, theirs) in values(&vars[&name]).into_iter().zip(values(&theirs)) {
                    assert!(close(ours, theirs), "{optimizer:?} step {i}, {name}: {ours} for {theirs}");
                }
            }
        }
    }
}

#[test]
fn gradients_are_free_of_the_graph_and_tied_weights_step_once() {
    let weight = Var::new(&[1f64, 2.], &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("decoder".to_owned(), weight.clone()), ("encoder".to_owned(), weight.clone())]);
    let loss = (weight.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
    let grads = gradients(&loss, &vars).unwrap();
    assert!(grads.values().all(|grad| !grad.track_op()));
    let mut sgd = Sgd::new(SgdConfig { lr: 0.5, ..Default::default() }).unwrap();
    sgd.step(&vars, &grads, Rates::constant(0.5), 1.0).unwrap();
    assert_eq!(weight.to_vec1::<f64>().unwrap(), [0.5, 1.0]);
}
