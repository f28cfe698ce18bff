//! Every optimiser against PyTorch's trajectories, and what all of them owe: their state by name, groups, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is computed exactly is compared so")]

use candle_core::{DType, Device, IndexOp, Tensor, Var};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use taper_trainer::optim::{
    Adadelta, AdadeltaConfig, Adagrad, AdagradConfig, Adam, AdamConfig, AdamW, AdamWConfig, Lion, LionConfig, Muon,
    MuonConfig, Optimizer, ParamGroup, RmsProp, RmsPropConfig, Sgd, SgdConfig,
};
use taper_trainer::{Error, Rates, Result};

const GOLDEN: &[u8] = include_bytes!("golden/optimizers.safetensors");

struct Golden {
    tensors: HashMap<String, Tensor>,
    kept: Vec<usize>,
    cases: Vec<Value>,
}

fn golden() -> Golden {
    let (_, metadata) = SafeTensors::read_metadata(GOLDEN).unwrap();
    let metadata: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["taper"]).unwrap();
    let kept = metadata["kept"].as_array().unwrap().iter().map(|step| step.as_u64().unwrap() as usize).collect();
    let tensors = candle_core::safetensors::load_buffer(GOLDEN, &Device::Cpu).unwrap();
    Golden { tensors, kept, cases: metadata["cases"].as_array().unwrap().clone() }
}

/// The keyword arguments of a case; a test fails on one that was not asked for.
struct Kwargs(serde_json::Map<String, Value>);

impl Kwargs {
    fn number(&mut self, name: &str, into: &mut f64) {
        if let Some(value) = self.0.remove(name) {
            *into = value.as_f64().unwrap();
        }
    }

    fn flag(&mut self, name: &str, into: &mut bool) {
        if let Some(value) = self.0.remove(name) {
            *into = value.as_bool().unwrap();
        }
    }

    fn betas(&mut self, into: &mut (f64, f64)) {
        if let Some(value) = self.0.remove("betas") {
            *into = (value[0].as_f64().unwrap(), value[1].as_f64().unwrap());
        }
    }
}

fn optimizer(case: &Value) -> Box<dyn Optimizer> {
    let mut kwargs = Kwargs(case["kwargs"].as_object().unwrap().clone());
    let built: Box<dyn Optimizer> = match case["optimizer"].as_str().unwrap() {
        "Sgd" => {
            let mut config = SgdConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.number("momentum", &mut config.momentum);
            kwargs.number("dampening", &mut config.dampening);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.flag("nesterov", &mut config.nesterov);
            Box::new(Sgd::new(config).unwrap())
        }
        "Adam" => {
            let mut config = AdamConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.betas(&mut config.betas);
            kwargs.number("eps", &mut config.eps);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.flag("amsgrad", &mut config.amsgrad);
            Box::new(Adam::new(config).unwrap())
        }
        "AdamW" => {
            let mut config = AdamWConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.betas(&mut config.betas);
            kwargs.number("eps", &mut config.eps);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.flag("amsgrad", &mut config.amsgrad);
            Box::new(AdamW::new(config).unwrap())
        }
        "RmsProp" => {
            let mut config = RmsPropConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.number("alpha", &mut config.alpha);
            kwargs.number("eps", &mut config.eps);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.number("momentum", &mut config.momentum);
            kwargs.flag("centered", &mut config.centered);
            Box::new(RmsProp::new(config).unwrap())
        }
        "Adagrad" => {
            let mut config = AdagradConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.number("lr_decay", &mut config.lr_decay);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.number("initial_accumulator_value", &mut config.initial_accumulator_value);
            kwargs.number("eps", &mut config.eps);
            Box::new(Adagrad::new(config).unwrap())
        }
        "Adadelta" => {
            let mut config = AdadeltaConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.number("rho", &mut config.rho);
            kwargs.number("eps", &mut config.eps);
            kwargs.number("weight_decay", &mut config.weight_decay);
            Box::new(Adadelta::new(config).unwrap())
        }
        "Lion" => {
            let mut config = LionConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.betas(&mut config.betas);
            kwargs.number("weight_decay", &mut config.weight_decay);
            Box::new(Lion::new(config).unwrap())
        }
        "Muon" => {
            let mut config = MuonConfig::default();
            kwargs.number("lr", &mut config.lr);
            kwargs.number("momentum", &mut config.momentum);
            kwargs.number("weight_decay", &mut config.weight_decay);
            kwargs.flag("nesterov", &mut config.nesterov);
            let mut ns_steps = config.ns_steps as f64;
            kwargs.number("ns_steps", &mut ns_steps);
            config.ns_steps = ns_steps as usize;
            Box::new(Muon::new(config, AdamWConfig::default()).unwrap())
        }
        name => panic!("no optimiser {name}"),
    };
    assert!(kwargs.0.is_empty(), "not read: {:?} of {case}", kwargs.0);
    built
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<u64>> {
    tensors.iter().map(|(name, t)| (name.clone(), values(t).into_iter().map(f64::to_bits).collect())).collect()
}

fn contents(vars: &BTreeMap<String, Var>) -> BTreeMap<String, Tensor> {
    vars.iter().map(|(name, var)| (name.clone(), var.copy().unwrap())).collect()
}

#[test]
fn trajectories_are_pytorchs() {
    let Golden { tensors, kept, cases } = golden();
    let mut read = 4;
    for (number, case) in cases.iter().enumerate() {
        for (key, dtype, tolerance) in [("f64", DType::F64, 1e-12), ("f32", DType::F32, 1e-6)] {
            let names: Vec<_> = ["bias", "weight"]
                .into_iter()
                .filter(|name| tensors.contains_key(&format!("{number}.{key}.{name}")))
                .collect();
            if names.is_empty() {
                continue;
            }
            let of = |kind: &str, name: &str| tensors[&format!("{kind}.{name}")].to_dtype(dtype).unwrap();
            let vars: BTreeMap<String, Var> =
                names.iter().map(|name| ((*name).to_owned(), Var::from_tensor(&of("start", name)).unwrap())).collect();
            let mut optimizer = optimizer(case);
            let rates = Rates::constant(optimizer.lr());
            for step in 1..=100 {
                let grads = vars.keys().map(|name| (name.clone(), of("grads", name).i(step - 1).unwrap())).collect();
                optimizer.step(&vars, &grads, rates, 1.0).unwrap();
                let Some(row) = kept.iter().position(|kept| *kept == step) else { continue };
                for (name, var) in &vars {
                    let theirs = tensors[&format!("{number}.{key}.{name}")].i(row).unwrap();
                    // The iteration of Newton and Schulz magnifies rounding: PyTorch's own float32 ends 2.2e-6 from its float64.
                    let magnified = if case["optimizer"] == "Muon" && dtype == DType::F32 { 5.0 } else { 1.0 };
                    let tolerance = tolerance * magnified;
                    for (ours, theirs) in values(var).into_iter().zip(values(&theirs)) {
                        let close = (ours - theirs).abs() <= tolerance * (1.0 + theirs.abs());
                        assert!(close, "{case} {key} {name}, step {step}: {ours} for {theirs}");
                    }
                }
            }
            read += names.len();
        }
    }
    assert_eq!(read, tensors.len(), "every tensor of the file is read");
}

/// Three variables, of which the last has no gradient.
fn variables(dtype: DType) -> BTreeMap<String, Var> {
    let var = |shape: &[usize], first: f64| {
        let len = shape.iter().product::<usize>();
        let values: Vec<f64> = (0..len).map(|i| first + 0.2 * i as f64).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        Var::from_tensor(&tensor).unwrap()
    };
    BTreeMap::from([
        ("a.bias".to_owned(), var(&[3], 0.5)),
        ("a.weight".to_owned(), var(&[2, 3], -0.25)),
        ("unused".to_owned(), var(&[4], 1.0)),
    ])
}

/// The gradients of step `i`.
fn grads(vars: &BTreeMap<String, Var>, i: usize) -> BTreeMap<String, Tensor> {
    let used = vars.iter().filter(|(name, _)| *name != "unused");
    used.map(|(name, var)| (name.clone(), var.affine(1.5, 0.1 * i as f64).unwrap().sin().unwrap().detach())).collect()
}

#[test]
fn a_loaded_state_goes_on_with_the_same_bits_and_one_that_does_not_fit_changes_nothing() {
    for case in golden().cases {
        for dtype in [DType::F32, DType::F64] {
            let (mut first, mut second) = (optimizer(&case), optimizer(&case));
            let (vars, rates) = (variables(dtype), Rates::constant(first.lr()));
            assert!(first.state().unwrap().is_empty());
            (0..5).for_each(|i| first.step(&vars, &grads(&vars, i), rates, 0.7).unwrap());
            let state = first.state().unwrap();
            assert_eq!(state["a.bias.step"].to_scalar::<i64>().unwrap(), 5);
            assert!(!state.keys().any(|name| name.starts_with("unused")), "{:?}", state.keys());

            let resumed = contents(&vars).iter().map(|(n, t)| (n.clone(), Var::from_tensor(t).unwrap())).collect();
            second.load_state(&resumed, &state).unwrap();
            for i in 5..9 {
                first.step(&vars, &grads(&vars, i), rates, 0.7).unwrap();
                second.step(&resumed, &grads(&resumed, i), rates, 0.7).unwrap();
            }
            assert_eq!(bits(&contents(&vars)), bits(&contents(&resumed)), "{case}");
            let now = second.state().unwrap();
            assert_eq!(bits(&first.state().unwrap()), bits(&now), "{case}");
            assert_ne!(bits(&now), bits(&state), "a state is a copy");

            let mut refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>), message: &str| {
                let mut changed = now.clone();
                change(&mut changed);
                let error = second.load_state(&vars, &changed).unwrap_err();
                assert!(
                    matches!(error, Error::OptimizerState { .. }) && error.to_string().ends_with(message),
                    "{error}"
                );
                assert_eq!(bits(&second.state().unwrap()), bits(&now));
            };
            for entry in now.keys().filter(|name| name.starts_with("a.weight.")) {
                // Plain SGD has one entry a variable, without which it has no state of it at all.
                if now.len() == 2 {
                    continue;
                }
                refused(&|state| drop(state.remove(entry)), &format!("{entry} is missing"));
            }
            for entry in now.keys().filter(|name| name.starts_with("a.weight.") && !name.ends_with(".step")) {
                let found = format!("is {} [3, 2], but its variable is {0} [2, 3]", dtype.as_str());
                let turned = Tensor::zeros((3, 2), dtype, &Device::Cpu).unwrap();
                refused(&|state| drop(state.insert(entry.clone(), turned.clone())), &format!("{entry} {found}"));
            }
            let count = |count: i64| Tensor::new(count, &Device::Cpu).unwrap();
            for stranger in ["b.step", "a.weight.other", "step"] {
                let message = format!("{stranger} belongs to no variable of this model and optimiser");
                refused(&|state| drop(state.insert(stranger.to_owned(), count(1))), &message);
            }
            refused(
                &|state| drop(state.insert("a.bias.step".to_owned(), count(-1))),
                "a.bias.step is -1, not a count of steps",
            );
            let wide = Tensor::new(&[1i64], &Device::Cpu).unwrap();
            refused(
                &|state| drop(state.insert("a.bias.step".to_owned(), wide.clone())),
                "a.bias.step is i64 [1], not a number of type i64",
            );
        }
    }
}

#[test]
fn the_scale_of_clipping_is_applied_to_the_gradient_first() {
    for case in golden().cases {
        let run = |by: f64, grad_scale: f64| {
            let (mut optimizer, vars) = (optimizer(&case), variables(DType::F32));
            let rates = Rates::constant(optimizer.lr());
            for i in 0..3 {
                let scaled = grads(&vars, i).into_iter().map(|(name, t)| (name, (t * by).unwrap())).collect();
                optimizer.step(&vars, &scaled, rates, grad_scale).unwrap();
            }
            bits(&contents(&vars))
        };
        assert_eq!(run(1.0, 0.25), run(0.25, 1.0), "{case}");
    }
}

#[test]
fn groups_have_their_own_rates_and_decays_and_the_first_that_sets_one_wins() {
    let zero_grads = |vars: &BTreeMap<String, Var>| -> BTreeMap<String, Tensor> {
        vars.iter().map(|(name, var)| (name.clone(), var.zeros_like().unwrap())).collect()
    };
    let adamw = || AdamW::new(AdamWConfig { weight_decay: 0.5, ..Default::default() }).unwrap();
    // Without a gradient AdamW only decays: θ ← (1 − lr · weight_decay) θ.
    let decayed = |mut optimizer: AdamW| {
        let vars = variables(DType::F64);
        optimizer.validate(&vars).unwrap();
        optimizer.step(&vars, &zero_grads(&vars), Rates::constant(0.5), 1.0).unwrap();
        [("a.bias", 0.5), ("a.weight", -0.25), ("unused", 1.0)].map(|(name, start)| values(&vars[name])[0] / start)
    };
    assert_eq!(decayed(adamw()), [0.75, 0.75, 0.75]);
    assert_eq!(decayed(adamw().no_weight_decay(["*.bias"])), [1.0, 0.75, 0.75]);
    let tuned = adamw()
        .group("a.w*", ParamGroup::default().lr_scale(0.5))
        .unwrap()
        .group("a.*", ParamGroup::default().weight_decay(0.8))
        .unwrap()
        .group("*", ParamGroup::default().lr_scale(0.25))
        .unwrap();
    assert_eq!(tuned.configuration().matches("Pattern").count(), 3);
    // Each number is that of the first group that sets it: (½, 0.8) for the weight, (¼, 0.8) for the bias, (¼, ½) for the rest.
    assert_eq!(decayed(tuned), [0.9, 0.8, 0.9375]);
    // A slower part of the net whose biases do not decay.
    let finetuned = adamw().group("a.*", ParamGroup::default().lr_scale(0.5)).unwrap().no_weight_decay(["*.bias"]);
    assert_eq!(decayed(finetuned), [1.0, 0.875, 0.75]);

    let vars = variables(DType::F64);
    let error = adamw().no_weight_decay(["*.bias", "*.gamma"]).validate(&vars).unwrap_err();
    assert_eq!(error.to_string(), "ParamGroup: no variable goes by \"*.gamma\"; there are a.bias, a.weight, unused");
    let tied = BTreeMap::from([("in".to_owned(), vars["unused"].clone()), ("out".to_owned(), vars["unused"].clone())]);
    assert!(adamw().no_weight_decay(["in"]).validate(&tied).is_ok());
    let error = adamw().no_weight_decay(["out"]).validate(&tied).unwrap_err();
    assert!(matches!(&error, Error::NoMatch { names, .. } if names == "in"), "{error}");
    for group in [ParamGroup::default().lr_scale(-1.0), ParamGroup::default().weight_decay(f64::NAN)] {
        let error = adamw().group("*", group).unwrap_err();
        assert!(error.to_string().contains("must be finite and not negative"), "{error}");
    }
}

#[test]
fn muon_leaves_vectors_and_what_it_is_told_to_adamw() {
    let vars = variables(DType::F32);
    let muon =
        || Muon::new(MuonConfig { lr: 0.1, ..Default::default() }, AdamWConfig { lr: 0.02, ..Default::default() });
    let parts = |mut muon: Muon| {
        muon.validate(&vars).unwrap();
        muon.step(&vars, &grads(&vars, 0), Rates::constant(0.1), 1.0).unwrap();
        muon.state().unwrap().into_keys().filter(|name| !name.ends_with("step")).collect::<Vec<_>>()
    };
    assert_eq!(parts(muon().unwrap()), ["a.bias.exp_avg", "a.bias.exp_avg_sq", "a.weight.momentum_buffer"]);
    let adamw = ["a.bias.exp_avg", "a.bias.exp_avg_sq", "a.weight.exp_avg", "a.weight.exp_avg_sq"];
    assert_eq!(parts(muon().unwrap().adamw_for(["a.w*"])), adamw);
    assert!(muon().unwrap().adamw_for(["b.*"]).validate(&vars).is_err());

    // The bias moves as AdamW moves it, at a rate that follows the schedule's.
    let moved = |optimizer: &mut dyn Optimizer, lr| {
        let vars = variables(DType::F32);
        optimizer.step(&vars, &grads(&vars, 0), Rates::constant(lr), 1.0).unwrap();
        values(&vars["a.bias"])
    };
    assert_eq!(moved(&mut muon().unwrap(), 0.05), moved(&mut AdamW::default(), 0.05 * (0.02 / 0.1)));
}

#[test]
fn a_schedules_momentum_takes_effect_or_is_refused() {
    for case in golden().cases {
        let step = |momentum| -> Result<_> {
            let (mut optimizer, vars) = (optimizer(&case), variables(DType::F64));
            let rates = Rates { lr: optimizer.lr(), momentum };
            // Of Lion, β₁ decides how small a turn of the gradient turns the step.
            for (i, by) in [1.0, -0.05].into_iter().enumerate() {
                let grads = grads(&vars, i).into_iter().map(|(name, grad)| (name, (grad * by).unwrap())).collect();
                optimizer.step(&vars, &grads, rates, 1.0)?;
            }
            Ok(bits(&contents(&vars)))
        };
        let has_momentum = match case["optimizer"].as_str().unwrap() {
            "Sgd" | "RmsProp" => case["kwargs"]["momentum"].is_number(),
            "Adagrad" | "Adadelta" => false,
            _ => true,
        };
        match step(Some(0.45)) {
            Ok(moved) => assert!(has_momentum && moved != step(None).unwrap(), "{case}"),
            Err(error) => assert!(!has_momentum && error.to_string().contains("the schedule's momentum"), "{error}"),
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let not_negative = "finite and not negative";
    let below_one = "at least 0 and less than 1";
    let refused = |result: Result<()>, op: &str, argument: &str, expected: &str, value: &str| {
        assert_eq!(result.unwrap_err().to_string(), format!("{op}: {argument} must be {expected}, got {value}"));
    };
    let sgd = |config| Sgd::new(config).map(drop);
    refused(sgd(SgdConfig { lr: -0.1, ..Default::default() }), "Sgd", "lr", not_negative, "-0.1");
    refused(sgd(SgdConfig { momentum: f64::NAN, ..Default::default() }), "Sgd", "momentum", not_negative, "NaN");
    refused(sgd(SgdConfig { dampening: f64::NAN, ..Default::default() }), "Sgd", "dampening", "finite", "NaN");
    for (momentum, dampening) in [(0.0, 0.0), (0.9, 0.1)] {
        let result = sgd(SgdConfig { momentum, dampening, nesterov: true, ..Default::default() });
        let value = format!("momentum {momentum} and dampening {dampening}");
        refused(result, "Sgd", "nesterov", "off unless momentum is positive and dampening 0", &value);
    }
    let adam = |config| Adam::new(config).map(drop);
    refused(adam(AdamConfig { betas: (0.9, 1.0), ..Default::default() }), "Adam", "betas", below_one, "1");
    let eps_range = "finite and at least 2⁻¹²⁶, the least normal float32, or 0 is divided by 0 where a gradient is 0";
    let no_eps = |result, op| refused(result, op, "eps", eps_range, "0");
    refused(adam(AdamConfig { eps: -1e-8, ..Default::default() }), "Adam", "eps", eps_range, "-0.00000001");
    no_eps(adam(AdamConfig { eps: 0.0, ..Default::default() }), "Adam");
    no_eps(AdamW::new(AdamWConfig { eps: 0.0, ..Default::default() }).map(drop), "AdamW");
    no_eps(RmsProp::new(RmsPropConfig { eps: 0.0, ..Default::default() }).map(drop), "RmsProp");
    no_eps(Adagrad::new(AdagradConfig { eps: 0.0, ..Default::default() }).map(drop), "Adagrad");
    no_eps(Adadelta::new(AdadeltaConfig { eps: 0.0, ..Default::default() }).map(drop), "Adadelta");
    no_eps(Muon::new(MuonConfig { eps: 0.0, ..Default::default() }, AdamWConfig::default()).map(drop), "Muon");
    let adamw = |config| AdamW::new(config).map(drop);
    refused(adamw(AdamWConfig { betas: (-0.1, 0.9), ..Default::default() }), "AdamW", "betas", below_one, "-0.1");
    refused(
        adamw(AdamWConfig { weight_decay: f64::INFINITY, ..Default::default() }),
        "AdamW",
        "weight_decay",
        not_negative,
        "inf",
    );
    let rms_prop = |config| RmsProp::new(config).map(drop);
    refused(rms_prop(RmsPropConfig { alpha: 1.0, ..Default::default() }), "RmsProp", "alpha", below_one, "1");
    refused(
        rms_prop(RmsPropConfig { momentum: -0.5, ..Default::default() }),
        "RmsProp",
        "momentum",
        not_negative,
        "-0.5",
    );
    let adagrad = |config| Adagrad::new(config).map(drop);
    refused(adagrad(AdagradConfig { lr_decay: -1.0, ..Default::default() }), "Adagrad", "lr_decay", not_negative, "-1");
    let initial = AdagradConfig { initial_accumulator_value: f64::NAN, ..Default::default() };
    refused(adagrad(initial), "Adagrad", "initial_accumulator_value", not_negative, "NaN");
    let adadelta = |config| Adadelta::new(config).map(drop);
    refused(adadelta(AdadeltaConfig { rho: 1.5, ..Default::default() }), "Adadelta", "rho", below_one, "1.5");
    let lion = |config| Lion::new(config).map(drop);
    refused(lion(LionConfig { betas: (0.9, f64::NAN), ..Default::default() }), "Lion", "betas", below_one, "NaN");
    let muon = |config| Muon::new(config, AdamWConfig::default()).map(drop);
    refused(muon(MuonConfig { lr: 0.0, ..Default::default() }), "Muon", "lr", "positive and finite", "0");
    refused(muon(MuonConfig { momentum: 1.0, ..Default::default() }), "Muon", "momentum", below_one, "1");
    refused(muon(MuonConfig { ns_steps: 100, ..Default::default() }), "Muon", "ns_steps", "less than 100", "100");
    let coefficients = MuonConfig { ns_coefficients: (1.0, f64::NAN, 1.0), ..Default::default() };
    refused(muon(coefficients), "Muon", "ns_coefficients", "finite", "NaN");
    refused(lion(LionConfig { lr: f64::INFINITY, ..Default::default() }), "Lion", "lr", not_negative, "inf");
}

#[test]
fn a_centered_average_that_rounds_below_zero_makes_no_nan() {
    let weight = Var::new(&[1f32; 64], &Device::Cpu).unwrap();
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let config = RmsPropConfig { alpha: 0.5, centered: true, eps: 1.0, ..Default::default() };
    let mut optimizer = RmsProp::new(config).unwrap();
    let grad: Vec<f32> = (0..64).map(|i| 1.0 + 0.013 * i as f32).collect();
    let grads = BTreeMap::from([("weight".to_owned(), Tensor::new(grad, &Device::Cpu).unwrap())]);
    (0..200).for_each(|_| optimizer.step(&vars, &grads, Rates::constant(0.01), 1.0).unwrap());
    let state = optimizer.state().unwrap();
    let (squares, means) = (values(&state["weight.square_avg"]), values(&state["weight.grad_avg"]));
    let below = squares.iter().zip(&means).any(|(square, mean)| (*square as f32) < (mean * mean) as f32);
    assert!(below, "the test needs a difference below zero");
    assert!(values(&weight).iter().all(|w| w.is_finite()));
}
