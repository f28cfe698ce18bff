//! Schedules, clipping and optimisers together against PyTorch, and their state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use std::collections::BTreeMap;
use taper_ops::optim::global_norm;
use taper_trainer::optim::{AdamW, AdamWConfig, Optimizer, Sgd, SgdConfig, clip_scale, gradients};
use taper_trainer::{Constant, CosineAnnealing, Error, OneCycle, Rates, Schedule};

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
            let rates = schedule.rates(i);
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
fn schedules_stay_where_they_end_and_bear_a_phase_without_length() {
    let cosine = CosineAnnealing { max_lr: 0.3, min_lr: 0.1, total_steps: 7 };
    assert!(close(cosine.rates(8).lr, 0.1) && close(cosine.rates(7_000).lr, 0.1));
    let cycle = OneCycle { momentum: Some((0.8, 0.9)), ..OneCycle::new(0.5, 7) };
    assert_eq!(cycle.rates(6), cycle.rates(7_000));
    for (pct_start, total_steps) in [(0.0, 5), (1.0, 5), (0.2, 5), (0.5, 1), (0.0, 1), (1.0, 1)] {
        let cycle = OneCycle { pct_start, momentum: Some((0.8, 0.9)), ..OneCycle::new(0.5, total_steps) };
        for step in 0..total_steps + 2 {
            let Rates { lr, momentum } = cycle.rates(step);
            assert!(lr > 0.0 && lr <= 0.5 + 1e-12, "{cycle:?} step {step}: {lr}");
            assert!((0.8 - 1e-12..=0.9 + 1e-12).contains(&momentum.unwrap()), "{cycle:?} step {step}: {momentum:?}");
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert!(message(OneCycle::new(0.1, 0).validate()).contains("total_steps must be at least 1, got 0"));
    assert!(
        message(OneCycle { pct_start: 1.5, ..OneCycle::new(0.1, 9) }.validate()).contains("between 0 and 1, got 1.5")
    );
    assert!(message(Constant { lr: 0.0 }.validate()).contains("lr must be positive"));
    assert!(message(CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 0 }.validate()).contains("total_steps"));
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
