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

fn bits(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<u64>> {
    tensors.iter().map(|(name, t)| (name.clone(), values(t).into_iter().map(f64::to_bits).collect())).collect()
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
    let sgd = |config| message(Sgd::new(config).map(drop));
    let adamw = |config| message(AdamW::new(config).map(drop));
    assert_eq!(sgd(SgdConfig { lr: -0.1, ..Default::default() }), "Sgd: lr must be finite and not negative, got -0.1");
    assert!(sgd(SgdConfig { momentum: f64::NAN, ..Default::default() }).contains("momentum"));
    assert!(sgd(SgdConfig { nesterov: true, ..Default::default() }).contains("nesterov must be off unless momentum"));
    assert!(
        sgd(SgdConfig { nesterov: true, momentum: 0.9, dampening: 0.1, ..Default::default() }).contains("nesterov")
    );
    assert!(
        adamw(AdamWConfig { betas: (0.9, 1.0), ..Default::default() }).contains("betas must be at least 0 and less")
    );
    assert!(adamw(AdamWConfig { weight_decay: f64::INFINITY, ..Default::default() }).contains("weight_decay"));
    assert!(message(OneCycle::new(0.1, 0).validate()).contains("total_steps must be at least 1, got 0"));
    assert!(
        message(OneCycle { pct_start: 1.5, ..OneCycle::new(0.1, 9) }.validate()).contains("between 0 and 1, got 1.5")
    );
    assert!(message(Constant { lr: 0.0 }.validate()).contains("lr must be positive"));
    assert!(message(CosineAnnealing { max_lr: 0.1, min_lr: 0.0, total_steps: 0 }.validate()).contains("total_steps"));
}

/// Three variables, of which the last has no gradient, and the gradients of step `i`.
fn variables_of(dtype: DType) -> BTreeMap<String, Var> {
    let var = |shape: &[usize], value: f64| {
        Var::from_tensor(&Tensor::full(value, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
    };
    BTreeMap::from([
        ("a.bias".to_owned(), var(&[3], 0.5)),
        ("a.weight".to_owned(), var(&[2, 3], -0.25)),
        ("unused".to_owned(), var(&[4], 1.0)),
    ])
}

fn grads_of(vars: &BTreeMap<String, Var>, i: usize) -> BTreeMap<String, Tensor> {
    let used = vars.iter().filter(|(name, _)| *name != "unused");
    used.map(|(name, var)| (name.clone(), var.affine(1.5, 0.1 * i as f64).unwrap().sin().unwrap().detach())).collect()
}

fn both() -> [Box<dyn Optimizer>; 2] {
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, weight_decay: 0.01, ..Default::default() };
    [Box::new(Sgd::new(sgd).unwrap()), Box::new(AdamW::new(AdamWConfig { lr: 0.1, ..Default::default() }).unwrap())]
}

#[test]
fn a_loaded_state_goes_on_with_the_same_bits() {
    for dtype in [DType::F32, DType::F64] {
        for ((mut first, mut second), entries) in both().into_iter().zip(both()).zip([2, 6]) {
            let vars = variables_of(dtype);
            let rates = Rates::constant(first.lr());
            (0..5).for_each(|i| first.step(&vars, &grads_of(&vars, i), rates, 0.7).unwrap());
            let state = first.state().unwrap();
            assert_eq!(state.len(), entries, "only variables with a gradient have state: {:?}", state.keys());

            let copies: BTreeMap<String, Tensor> = vars.iter().map(|(n, v)| (n.clone(), v.copy().unwrap())).collect();
            let resumed = variables(&copies);
            second.load_state(&resumed, &state).unwrap();
            for i in 5..9 {
                first.step(&vars, &grads_of(&vars, i), rates, 0.7).unwrap();
                second.step(&resumed, &grads_of(&resumed, i), rates, 0.7).unwrap();
            }
            let tensors = |vars: &BTreeMap<String, Var>| vars.iter().map(|(n, v)| (n.clone(), v.detach())).collect();
            assert_eq!(bits(&tensors(&vars)), bits(&tensors(&resumed)));
            assert_eq!(bits(&first.state().unwrap()), bits(&second.state().unwrap()));
            assert_ne!(bits(&first.state().unwrap()), bits(&state), "a state is a copy");
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let vars = variables_of(DType::F32);
    for (mut optimizer, part) in both().into_iter().zip(["momentum_buffer", "exp_avg_sq"]) {
        optimizer.step(&vars, &grads_of(&vars, 0), Rates::constant(0.1), 1.0).unwrap();
        let state = optimizer.state().unwrap();
        let refused = |optimizer: &mut dyn Optimizer, change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
            let mut changed = state.clone();
            change(&mut changed);
            let error = optimizer.load_state(&vars, &changed).unwrap_err();
            assert!(matches!(error, Error::OptimizerState { .. }), "{error}");
            assert_eq!(bits(&optimizer.state().unwrap()), bits(&state));
            error.to_string()
        };
        let entry = format!("a.weight.{part}");
        let wrong = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
        let message = refused(&mut *optimizer, &|state| drop(state.insert(entry.clone(), wrong.clone())));
        assert!(message.ends_with(&format!("{entry} is f32 [3, 2], but its variable is f32 [2, 3]")), "{message}");
        let message = refused(&mut *optimizer, &|state| drop(state.insert(format!("b.{part}"), wrong.clone())));
        assert!(message.contains(&format!("b.{part} belongs to no variable")), "{message}");
    }
    let mut adamw = AdamW::default();
    adamw.step(&vars, &grads_of(&vars, 0), Rates::constant(0.1), 1.0).unwrap();
    let mut state = adamw.state().unwrap();
    state.insert("a.bias.step".to_owned(), Tensor::new(-1i64, &Device::Cpu).unwrap());
    assert!(
        adamw.load_state(&vars, &state).unwrap_err().to_string().ends_with("a.bias.step is -1, not a count of steps")
    );
    state.remove("a.bias.step");
    assert!(adamw.load_state(&vars, &state).unwrap_err().to_string().ends_with("a.bias.step is missing"));
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
