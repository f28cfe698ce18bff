//! The optimisers' CUDA kernels against their loops on the CPU: the same bits in every parameter and state. The kernels run on
//! the CPU.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Tensor, Var};
use proptest::prelude::*;
use proptest::sample::select;
use support::config;
use support::emulated::emulators;
use support::layouts::reals;
use support::pooling::{bits, layouts};
use taper_ops::Result;
use taper_ops::optim::{
    AdadeltaStep, AdagradStep, AdamStep, LionStep, MuonStep, RmsPropStep, SgdStep, adadelta_step, adagrad_step,
    adam_step, ema_step, lion_step, muon_step, rms_prop_step, sgd_step,
};

type Step<'a> = &'a dyn Fn(&[Var; 4], &Tensor) -> Result<()>;

/// The bits of a parameter and three states after `step`. States are positive, as those that hold squares are.
fn after(shape: &[usize], grad: &Tensor, step: Step<'_>) -> Result<Vec<Vec<u64>>> {
    let dtype = grad.dtype();
    let var = |seed: u64| -> Result<Var> {
        let values = reals(shape, seed);
        let values = if seed == 1 { values } else { values.abs()? };
        Ok(Var::from_tensor(&values.to_dtype(dtype)?.to_device(grad.device())?)?)
    };
    let vars = [var(1)?, var(2)?, var(3)?, var(4)?];
    step(&vars, grad)?;
    Ok(vars.iter().map(|var| bits(var)).collect())
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn steps_have_the_bits_of_the_cpu(
        shape in prop::array::uniform2(1..7usize),
        dtype in select(&[DType::F32, DType::F64][..]),
        (layout, emulator) in (layouts(), emulators()),
        (lr, weight_decay, grad_scale) in (0.01..2f64, 0f64..0.5, 0.1..2f64),
        (nesterov, first, decoupled, step) in (any::<bool>(), any::<bool>(), any::<bool>(), 1..9u64),
    ) {
        let grad = layout.apply(&reals(&shape, 9).to_dtype(dtype).unwrap()).unwrap();
        let sgd = SgdStep { lr, momentum: 0.9, dampening: 0.2, weight_decay, nesterov, first, grad_scale };
        let adam = AdamStep {
            lr, betas: (0.9, 0.99), eps: 1e-8, weight_decay, decoupled_weight_decay: decoupled, step, grad_scale,
        };
        let rms_prop = RmsPropStep { lr, alpha: 0.9, eps: 1e-8, weight_decay, momentum: 0.8, grad_scale };
        let adagrad = AdagradStep { lr, lr_decay: 0.1, weight_decay, eps: 1e-10, step, grad_scale };
        let adadelta = AdadeltaStep { lr, rho: 0.9, eps: 1e-6, weight_decay, grad_scale };
        let lion = LionStep { lr, betas: (0.9, 0.99), weight_decay, grad_scale };
        let muon = MuonStep {
            lr, momentum: 0.9, weight_decay, nesterov, ns_coefficients: (3.4445, -4.775, 2.0315), ns_steps: 2, eps: 1e-7,
            grad_scale,
        };
        let steps: [Step<'_>; 13] = [
            &|[p, ..], g| sgd_step(p, g, None, &sgd),
            &|[p, v, ..], g| sgd_step(p, g, Some(v), &sgd),
            &|[p, m, v, _], g| adam_step(p, g, m, v, None, &adam),
            &|[p, m, v, max], g| adam_step(p, g, m, v, Some(max), &adam),
            &|[p, s, ..], g| rms_prop_step(p, g, s, None, None, &rms_prop),
            &|[p, s, a, _], g| rms_prop_step(p, g, s, Some(a), None, &rms_prop),
            &|[p, s, b, _], g| rms_prop_step(p, g, s, None, Some(b), &rms_prop),
            &|[p, s, a, b], g| rms_prop_step(p, g, s, Some(a), Some(b), &rms_prop),
            &|[p, s, ..], g| adagrad_step(p, g, s, &adagrad),
            &|[p, s, d, _], g| adadelta_step(p, g, s, d, &adadelta),
            &|[p, m, ..], g| lion_step(p, g, m, &lion),
            &|[p, m, ..], g| muon_step(p, g, m, &muon),
            &|[average, ..], x| ema_step(average, x, 0.9),
        ];
        for (i, step) in steps.into_iter().enumerate() {
            let expected = after(&shape, &grad, step).unwrap();
            let placed = emulator.place(&grad);
            let found = emulator.run(|| after(&shape, &placed, step)).unwrap();
            prop_assert_eq!(found, expected, "step {}", i);
        }
    }
}
