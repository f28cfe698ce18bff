//! The optimisers' steps against PyTorch's trajectories, and what they owe their caller beside the numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use taper_ops::Error;
use taper_ops::optim::{
    AdadeltaStep, AdagradStep, AdamStep, LionStep, MuonStep, RmsPropStep, SgdStep, adadelta_step, adagrad_step,
    adam_step, ema_step, global_norm, lion_step, muon_step, rms_prop_step, sgd_step,
};

const SGD: SgdStep = SgdStep {
    lr: 0.05,
    momentum: 0.9,
    dampening: 0.2,
    weight_decay: 0.01,
    nesterov: false,
    first: false,
    grad_scale: 1.0,
};
const ADAMW: AdamStep = AdamStep {
    lr: 0.01,
    betas: (0.9, 0.999),
    eps: 1e-8,
    weight_decay: 0.01,
    decoupled_weight_decay: true,
    step: 3,
    grad_scale: 1.0,
};

const MUON: MuonStep = MuonStep {
    lr: 0.05,
    momentum: 0.9,
    weight_decay: 0.1,
    nesterov: true,
    ns_coefficients: (3.4445, -4.775, 2.0315),
    ns_steps: 5,
    eps: 1e-7,
    grad_scale: 1.0,
};

fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(floats).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn tensor(values: &Value, dtype: DType) -> Tensor {
    Tensor::from_vec(floats(values), (2, 3), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let values = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    values.into_iter().map(f64::to_bits).collect()
}

fn wave(len: usize, frequency: f64, dtype: DType) -> Tensor {
    let values: Vec<f64> = (0..len).map(|i| (i as f64 * frequency).sin()).collect();
    Tensor::from_vec(values, len, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn var(tensor: &Tensor) -> Var {
    Var::from_tensor(tensor).unwrap()
}

/// The parameter after each step of a recorded trajectory.
fn replay(row: &Value, dtype: DType) -> Vec<Tensor> {
    let kwargs = &row["kwargs"];
    let number = |name: &str, default: f64| kwargs.get(name).and_then(Value::as_f64).unwrap_or(default);
    let param = var(&tensor(&row["start"], dtype));
    let states = [0, 1].map(|_| Var::zeros((2, 3), dtype, &Device::Cpu).unwrap());
    let grads = row["grads"].as_array().unwrap().iter().enumerate();
    grads
        .map(|(i, grad)| {
            let grad = tensor(grad, dtype);
            if row["optimizer"] == "sgd" {
                let momentum = number("momentum", 0.0);
                let step = SgdStep {
                    lr: number("lr", f64::NAN),
                    momentum,
                    dampening: number("dampening", 0.0),
                    weight_decay: number("weight_decay", 0.0),
                    nesterov: kwargs.get("nesterov").is_some_and(|v| v == true),
                    first: i == 0,
                    grad_scale: 1.0,
                };
                sgd_step(&param, &grad, (momentum > 0.0).then_some(&states[0]), &step).unwrap();
            } else {
                let betas = kwargs.get("betas").map_or(vec![0.9, 0.999], floats);
                let step = AdamStep {
                    lr: number("lr", f64::NAN),
                    betas: (betas[0], betas[1]),
                    eps: number("eps", 1e-8),
                    weight_decay: number("weight_decay", 0.01),
                    decoupled_weight_decay: true,
                    step: i as u64 + 1,
                    grad_scale: 1.0,
                };
                adam_step(&param, &grad, &states[0], &states[1], None, &step).unwrap();
            }
            param.copy().unwrap()
        })
        .collect()
}

#[test]
fn trajectories_are_pytorchs() {
    let golden: Value = serde_json::from_str(include_str!("golden/optim.json")).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for row in rows {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
            for (i, (ours, theirs)) in replay(row, dtype).iter().zip(row["params"].as_array().unwrap()).enumerate() {
                let ours = ours.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
                for (a, b) in ours.iter().zip(floats(theirs)) {
                    assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{} step {i}: {a} for {b}", row["kwargs"]);
                }
            }
        }
    }
}

/// What every kind of step makes of a parameter and its states; they follow on one another.
fn every_step(grad: &Tensor, grad_scale: f64) -> Vec<Vec<u64>> {
    let (shape, dtype) = (grad.shape(), grad.dtype());
    let vars = [0.3, 0.5, 0.9, 1.1].map(|f| {
        let wave = wave(shape.elem_count(), f, dtype).abs().unwrap();
        var(&wave.affine(0.5, 0.1).unwrap().reshape(shape).unwrap())
    });
    let [param, a, b, c] = &vars;
    let mut seen = Vec::new();
    let mut see = || seen.extend(vars.iter().map(|var| bits(var)));
    let sgd = SgdStep { grad_scale, ..SGD };
    sgd_step(param, grad, None, &sgd).unwrap();
    sgd_step(param, grad, Some(a), &sgd).unwrap();
    see();
    for decoupled_weight_decay in [false, true] {
        let adam = AdamStep { decoupled_weight_decay, grad_scale, ..ADAMW };
        adam_step(param, grad, a, b, None, &adam).unwrap();
        adam_step(param, grad, a, b, Some(c), &adam).unwrap();
        see();
    }
    let rms_prop = RmsPropStep { lr: 0.01, alpha: 0.9, eps: 1e-3, weight_decay: 0.01, momentum: 0.8, grad_scale };
    for (grad_avg, momentum_buffer) in [(None, None), (Some(b), None), (None, Some(c)), (Some(b), Some(c))] {
        rms_prop_step(param, grad, a, grad_avg, momentum_buffer, &rms_prop).unwrap();
        see();
    }
    let adagrad = AdagradStep { lr: 0.01, lr_decay: 0.1, eps: 1e-10, weight_decay: 0.01, step: 3, grad_scale };
    adagrad_step(param, grad, a, &adagrad).unwrap();
    let adadelta = AdadeltaStep { lr: 1.0, rho: 0.9, eps: 1e-6, weight_decay: 0.01, grad_scale };
    adadelta_step(param, grad, a, b, &adadelta).unwrap();
    lion_step(param, grad, a, &LionStep { lr: 0.01, betas: (0.9, 0.99), weight_decay: 0.01, grad_scale }).unwrap();
    see();
    if grad.rank() >= 2 {
        muon_step(param, grad, a, &MuonStep { grad_scale, ..MUON }).unwrap();
        see();
    }
    seen
}

#[test]
fn a_strided_or_broadcast_gradient_gives_the_contiguous_ones_bits() {
    for dtype in [DType::F32, DType::F64] {
        let wide = wave(15, 1.3, dtype).reshape((3, 5)).unwrap();
        let strided = wide.t().unwrap().narrow(0, 1, 4).unwrap();
        let broadcast = wave(4, 0.7, dtype).reshape((4, 1)).unwrap().broadcast_as((4, 3)).unwrap();
        for grad in [strided, broadcast] {
            assert!(!grad.is_contiguous());
            assert_eq!(every_step(&grad, 1.0), every_step(&grad.contiguous().unwrap(), 1.0));
        }
    }
}

#[test]
fn the_scale_of_clipping_is_applied_to_the_gradient_first() {
    let grad = wave(12, 1.3, DType::F32).reshape((4, 3)).unwrap();
    assert_eq!(every_step(&grad, 0.25), every_step(&grad.affine(0.25, 0.0).unwrap(), 1.0));
    assert_ne!(every_step(&grad, 0.25), every_step(&grad, 1.0));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = || {
        // Wide, so that Muon's products are several blocks of rows.
        let grad = wave(150 * 701, 1.3, DType::F32).reshape((150, 701)).unwrap();
        let average = var(&wave(150 * 701, 0.7, DType::F32).reshape((150, 701)).unwrap());
        ema_step(&average, &grad, 0.9).unwrap();
        let norm = global_norm([&grad, average.as_tensor()]).unwrap();
        (every_step(&grad, 1.0), bits(&average), norm.to_bits())
    };
    let [one, three] =
        [1, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run));
    assert_eq!(one, three);
}

#[test]
fn muons_step_is_orthogonal_and_as_long_as_the_shape_says() {
    // A tall, a wide and a convolution's matrix, which counts as [4, 6]; the exact iteration, so that singular values are 1.
    for (shape, rows, columns) in [(&[7usize, 3][..], 7, 3), (&[3, 7], 3, 7), (&[4, 2, 3], 4, 6)] {
        // One wave alone is a matrix of rank two.
        let grad =
            (wave(rows * columns, 1.3, DType::F64) + wave(rows * columns, 2.9, DType::F64).sqr().unwrap()).unwrap();
        let grad = grad.reshape(shape).unwrap();
        let [param, momentum] = [0, 1].map(|_| Var::zeros(shape, DType::F64, &Device::Cpu).unwrap());
        let step = MuonStep { lr: 0.5, ns_coefficients: (1.5, -0.5, 0.0), ns_steps: 60, ..MUON };
        muon_step(&param, &grad, &momentum, &step).unwrap();
        let moved = param.reshape((rows, columns)).unwrap();
        let moved = if rows > columns { moved.t().unwrap().contiguous().unwrap() } else { moved };
        let gram = moved.matmul(&moved.t().unwrap().contiguous().unwrap()).unwrap().to_vec2::<f64>().unwrap();
        let square = 0.25 * (rows as f64 / columns as f64).max(1.0);
        for (i, row) in gram.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let expected = if i == j { square } else { 0.0 };
                assert!((value - expected).abs() < 1e-9, "{shape:?} [{i}, {j}]: {value} for {expected}");
            }
        }
    }
}

#[test]
fn the_global_norm_is_that_of_all_elements() {
    let (a, b) = (wave(40_000, 0.3, DType::F64), wave(7, 0.9, DType::F32).reshape((7, 1)).unwrap());
    let b = b.broadcast_as((7, 3)).unwrap();
    let elements: Vec<f64> = [&a, &b]
        .iter()
        .flat_map(|t| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap())
        .collect();
    let expected = elements.iter().map(|x| x * x).sum::<f64>().sqrt();
    let norm = global_norm([&a, &b]).unwrap();
    assert!((norm - expected).abs() < 1e-12 * expected, "{norm} for {expected}");
    assert_eq!(global_norm([]).unwrap().to_bits(), 0);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let param = var(&wave(6, 0.3, DType::F32));
    let state = var(&wave(6, 0.5, DType::F32));
    let sgd = |grad: &Tensor, velocity: &Var| sgd_step(&param, grad, Some(velocity), &SGD).unwrap_err();

    let error = sgd(&wave(5, 0.3, DType::F32), &state);
    assert!(matches!(&error, Error::Shape { expected, shape, .. } if expected == &[6] && shape == &[5]), "{error}");
    assert_eq!(error.to_string(), "sgd_step: the gradient must have shape [6], got [5]");
    let error = sgd(&wave(6, 0.3, DType::F64), &state);
    assert!(matches!(error, Error::DTypeMismatch { left: DType::F32, right: DType::F64, .. }), "{error}");
    let integers = Var::zeros(6, DType::U32, &Device::Cpu).unwrap();
    let error = sgd_step(&integers, &integers.copy().unwrap(), None, &SGD).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::U32, .. }), "{error}");
    let error = muon_step(&param, &wave(6, 0.3, DType::F32), &state, &MUON).unwrap_err();
    assert_eq!(error.to_string(), "muon_step: the parameter must have at least 2 dimensions, got shape [6]");
    let error = global_norm([integers.as_tensor()]).unwrap_err();
    assert!(matches!(error, Error::DType { dtype: DType::U32, .. }), "{error}");
}

#[test]
fn arguments_that_share_a_storage_are_refused_and_do_not_wait_for_ever() {
    let param = var(&wave(6, 0.3, DType::F32));
    let (state, grad) = (var(&wave(6, 0.5, DType::F32)), wave(6, 0.7, DType::F32));
    for result in [
        sgd_step(&param, &param.detach(), None, &SGD),
        sgd_step(&param, &grad, Some(&param), &SGD),
        sgd_step(&param, &state.detach(), Some(&state), &SGD),
        adam_step(&param, &grad, &state, &state, None, &ADAMW),
    ] {
        assert!(result.unwrap_err().to_string().contains("share one storage"));
    }
    assert_eq!(bits(&param), bits(&wave(6, 0.3, DType::F32)));
}
