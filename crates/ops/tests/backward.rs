//! Backward passes against those of candle's operators alone, over random graphs of both kinds of operators.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod support;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var};
use proptest::prelude::*;
use support::config;
use support::layouts::{integers, reals, values};
use taper_gradcheck::GradCheck;
use taper_ops::{Error, Reduction, add_relu, backward, backward_with, flatten, linear, mse_loss, relu, softmax, tanh};

const FEATURES: usize = 6;

/// One operator of a random graph, and the numbers that pick its arguments among what is there already.
#[derive(Debug, Clone, Copy)]
enum Step {
    Linear,
    LinearWithBias,
    Relu,
    AddRelu,
    Flatten,
    /// Candle's own.
    Add,
    Double,
    Swap,
    Detach,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize, usize)>> {
    let step = prop_oneof![
        3 => Just(Step::Linear),
        2 => Just(Step::LinearWithBias),
        3 => Just(Step::Relu),
        3 => Just(Step::AddRelu),
        2 => Just(Step::Flatten),
        2 => Just(Step::Add),
        1 => Just(Step::Double),
        1 => Just(Step::Swap),
        1 => Just(Step::Detach),
    ];
    prop::collection::vec((step, 0..100usize, 0..100usize), 1..14)
}

/// Sums of integers, small enough to be exact whatever their order.
fn variables(n: usize, seed: usize) -> Vec<Var> {
    let shapes: [&[usize]; 4] = [&[n, FEATURES], &[FEATURES, FEATURES], &[FEATURES, FEATURES], &[FEATURES]];
    let sign = |i: usize, shape: &[usize]| integers(shape, seed + i).clamp(-1., 1.).unwrap();
    shapes.iter().zip(0..).map(|(shape, i)| Var::from_tensor(&sign(i, shape)).unwrap()).collect()
}

/// The values of the graph, by operators of this crate or by candle's alone.
fn build(vars: &[Var], steps: &[(Step, usize, usize)], ours: bool) -> Vec<Tensor> {
    let rectify = |x: &Tensor| (x * x.gt(0.)?.to_dtype(DType::F64)?.detach())?.contiguous();
    let mut nodes = vec![vars[0].as_tensor().clone()];
    for &(step, i, j) in steps {
        let (x, y) = (&nodes[i % nodes.len()], &nodes[j % nodes.len()]);
        let (weight, bias) = (vars[1 + j % 2].as_tensor(), vars[3].as_tensor());
        let apply = || -> Result<Tensor> {
            Ok(match step {
                Step::Linear if ours => linear(x, weight, None)?,
                Step::Linear => x.matmul(&weight.t()?)?,
                Step::LinearWithBias if ours => linear(x, weight, Some(bias))?,
                Step::LinearWithBias => x.matmul(&weight.t()?)?.broadcast_add(bias)?,
                Step::Relu if ours => relu(x)?,
                Step::Relu => rectify(x)?,
                Step::AddRelu if ours => add_relu(x, y)?,
                Step::AddRelu => rectify(&(x + y)?)?,
                Step::Flatten if ours => flatten(&flatten(x, 0)?.reshape(((), 2, FEATURES / 2))?, 1)?,
                Step::Flatten => x.flatten_from(0)?.reshape(((), 2, FEATURES / 2))?.flatten_from(1)?,
                Step::Add => (x + y)?,
                Step::Double => (x * 2.)?,
                Step::Swap => Tensor::cat(&[x.narrow(1, 2, FEATURES - 2)?, x.narrow(1, 0, 2)?], 1)?,
                Step::Detach => x.detach(),
            })
        };
        let node = apply().unwrap();
        nodes.push(node);
    }
    nodes
}

fn grads_of(vars: &[Var], grads: &GradStore) -> Vec<Option<Vec<f64>>> {
    vars.iter().map(|var| grads.get(var).map(values)).collect()
}

proptest! {
    #![proptest_config(config(256))]

    /// A value may be used by several operators of either kind, or by none, and several values may be the loss.
    #[test]
    fn the_gradients_are_those_of_candles_operators(
        n in 1..4usize,
        steps in steps(),
        losses in 1..3usize,
        last in any::<bool>(),
        seed in 0..1usize << 40,
    ) {
        let vars = variables(n, seed);
        let loss = |ours| {
            let nodes = build(&vars, &steps, ours);
            // The last value alone, or a sum of some, which is candle's.
            if last {
                return nodes[nodes.len() - 1].clone();
            }
            let sums = nodes.iter().rev().take(losses).map(|node| node.sum_all());
            sums.reduce(|a, b| a? + b?).unwrap().unwrap()
        };
        let (ours, theirs) = (loss(true), loss(false));
        prop_assert_eq!(values(&ours), values(&theirs));
        let tracked: Vec<Var> = vars.iter().filter(|var| var.id() != ours.id()).cloned().collect();
        let expected = grads_of(&tracked, &theirs.backward().unwrap());
        prop_assert_eq!(&grads_of(&tracked, &ours.backward().unwrap()), &expected);
        prop_assert_eq!(&grads_of(&tracked, &backward(&ours).unwrap()), &expected, "a second pass over the graph");
        let cotangent = integers(ours.dims(), seed ^ 77);
        let expected = grads_of(&tracked, &(&theirs * &cotangent).unwrap().backward().unwrap());
        prop_assert_eq!(&grads_of(&tracked, &backward_with(&ours, &cotangent).unwrap()), &expected);
    }

    #[test]
    fn flattening_joins_the_last_axes(dims in prop::collection::vec(0..4usize, 0..5), start in 0..6usize, seed in any::<u64>()) {
        let x = reals(&dims, seed);
        match flatten(&x, start) {
            Ok(y) => {
                let candles = x.flatten_from(start).unwrap();
                prop_assert_eq!(y.dims(), candles.dims());
                prop_assert_eq!(values(&y), values(&x));
            }
            Err(error) => {
                prop_assert!(start >= dims.len().max(1), "{error}");
                let expected = "flatten: start_dim must be less than the number of dimensions, got ";
                prop_assert!(error.to_string().starts_with(expected), "{error}");
            }
        }
    }
}

#[test]
fn gradients_of_both_orders() {
    let x = reals(&[2, 3, 2], 1);
    let net = |t: &[Tensor]| -> taper_ops::Result<Tensor> {
        let y = flatten(&tanh(&t[0])?, 1)?;
        softmax(&linear(&y, &t[1], None)?, 1)
    };
    let check = GradCheck::new("tanh, flatten, linear, softmax").forbid_wasted_gradients();
    let inputs = [x, reals(&[4, 6], 2)];
    check.check(net, &inputs).unwrap().assert_passed();
    check.check_second_order(net, &inputs).unwrap().assert_passed();
}

type Backward = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// The identity, whose backward pass is a function of one's own.
struct Hook(Box<Backward>);

impl CustomOp1 for Hook {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((x.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        (self.0)(dy).map(Some)
    }
}

#[test]
fn a_pass_that_failed_leaves_nothing_to_the_next() {
    let x = Var::from_tensor(&reals(&[3, 4], 1)).unwrap();
    let y = tanh(&x).unwrap();
    let z = relu(&y).unwrap();
    let fails = y.apply_op1(Hook(Box::new(|_| candle_core::bail!("on purpose")))).unwrap();
    let both = (z.sum_all().unwrap() + fails.sum_all().unwrap()).unwrap();
    let other = (fails.sum_all().unwrap() + z.sum_all().unwrap()).unwrap();
    let expected = values(backward(&z).unwrap().get(&x).unwrap());
    for _ in 0..2 {
        for failing in [&both, &other] {
            assert!(backward(failing).unwrap_err().to_string().contains("on purpose"));
            assert_eq!(values(backward(&z).unwrap().get(&x).unwrap()), expected);
            assert!(failing.backward().unwrap_err().to_string().contains("on purpose"));
            assert_eq!(values(z.backward().unwrap().get(&x).unwrap()), expected);
        }
    }
}

/// Jacobian rows in parallel over one graph: a thread that waits for a kernel's tasks takes up another row meanwhile.
#[test]
fn passes_in_parallel_over_one_graph() {
    use rayon::prelude::*;
    let x = Var::from_tensor(&reals(&[64, 256], 1).to_dtype(DType::F32).unwrap()).unwrap();
    let w = reals(&[256, 256], 2).to_dtype(DType::F32).unwrap();
    let y = tanh(&x).unwrap();
    let out = add_relu(&linear(&tanh(&linear(&y, &w, None).unwrap()).unwrap(), &w, None).unwrap(), &y).unwrap();
    let row = |i: usize, ours: bool| {
        let cotangent = reals(&[64, 256], i as u64).to_dtype(DType::F32).unwrap();
        let grads = if ours {
            backward_with(&out, &cotangent).unwrap()
        } else {
            (&out * cotangent).unwrap().backward().unwrap()
        };
        values(grads.get(&x).unwrap())
    };
    for ours in [true, false] {
        let expected: Vec<_> = (0..24).map(|i| row(i, ours)).collect();
        let rows: Vec<_> = (0..24).into_par_iter().map(|i| row(i, ours)).collect();
        assert!(rows == expected, "by {}", if ours { "backward_with" } else { "candle" });
    }
}

/// A pass that runs while gradients of another, of the same values, wait.
#[test]
fn a_pass_may_run_through_values_of_another() {
    let x = Var::from_tensor(&reals(&[3, 4], 1)).unwrap();
    let y = tanh(&x).unwrap();
    for (candles, fails) in [(false, false), (true, false), (false, true)] {
        let inner = y.clone();
        let hook = Hook(Box::new(move |dy| {
            let z = relu(&inner)?;
            let z = if fails { z.apply_op1(Hook(Box::new(|_| candle_core::bail!("on purpose"))))? } else { z };
            let pass =
                if candles { z.backward() } else { backward_with(&relu(&z)?, &z.ones_like()?).map_err(Into::into) };
            assert_eq!(pass.is_err(), fails);
            Ok(dy.clone())
        }));
        let through = relu(&y).unwrap().apply_op1(hook).unwrap();
        // Of the two uses of y one comes first.
        for loss in [add_relu(&y, &through).unwrap(), add_relu(&through, &y).unwrap()] {
            let expected = backward(&add_relu(&y, &relu(&y).unwrap()).unwrap()).unwrap();
            let grads = if candles { loss.backward().unwrap() } else { backward(&loss).unwrap() };
            assert_eq!(values(grads.get(&x).unwrap()), values(expected.get(&x).unwrap()));
        }
    }
}

/// What candle takes for constant though it is recorded.
#[test]
fn inputs_that_candle_prunes() {
    let x = Var::from_tensor(&reals(&[3, 4], 1)).unwrap();
    let w = Var::from_tensor(&reals(&[4, 4], 2)).unwrap();
    let pruned = [x.affine(0., 1.).unwrap(), x.floor().unwrap(), x.gt(0.).unwrap().to_dtype(DType::F64).unwrap()];
    for constant in pruned {
        let loss = linear(&relu(&constant).unwrap(), &w, None).unwrap();
        let expected = linear(&relu(&constant.detach()).unwrap(), &w, None).unwrap();
        let (grads, expected) = (backward(&loss).unwrap(), backward(&expected).unwrap());
        assert_eq!(values(grads.get(&w).unwrap()), values(expected.get(&w).unwrap()));
        assert!(grads.get(&x).is_none());
    }
}

#[test]
fn the_cotangent_may_be_strided_and_is_a_constant() {
    let x = Var::from_tensor(&reals(&[3, 4], 1)).unwrap();
    let c = Var::from_tensor(&reals(&[4, 3], 2)).unwrap();
    for output in [tanh(&x).unwrap(), x.sqr().unwrap()] {
        let grads = backward_with(&output, &c.t().unwrap()).unwrap();
        let plain = backward_with(&output, &c.t().unwrap().contiguous().unwrap().detach()).unwrap();
        assert_eq!(values(grads.get(&x).unwrap()), values(plain.get(&x).unwrap()));
        assert!(grads.get(&c).is_none());
    }
}

#[test]
fn a_view_of_a_value_used_by_both_kinds_of_operators() {
    let x = Var::from_tensor(&reals(&[2, 3, 2], 1)).unwrap();
    let net = |ours: bool| {
        let y = tanh(&x).unwrap();
        let flat = if ours { flatten(&y, 1).unwrap() } else { y.flatten_from(1).unwrap() };
        let both = Tensor::cat(&[&flat.t().unwrap(), &relu(&flat).unwrap().t().unwrap()], 0).unwrap();
        (both.sum_all().unwrap() + tanh(&flat).unwrap().sum_all().unwrap()).unwrap()
    };
    let (ours, theirs) = (backward(&net(true)).unwrap(), backward(&net(false)).unwrap());
    assert_eq!(values(ours.get(&x).unwrap()), values(theirs.get(&x).unwrap()));
}

/// As recomputation of activations does it.
#[test]
fn a_pass_may_run_within_another() {
    let (x, w) = (Var::from_tensor(&reals(&[3, 4], 1)).unwrap(), Var::from_tensor(&reals(&[4, 4], 2)).unwrap());
    let plain = |x: &Tensor| linear(&tanh(x).unwrap(), &w, None).unwrap();
    for candles in [false, true] {
        let inner = plain(&x).detach();
        let (at, weight) = (x.as_detached_tensor(), w.clone());
        let recomputed = move |dy: &Tensor| {
            let x = Var::from_tensor(&at)?;
            let y = linear(&tanh(&x)?, &weight, None)?;
            let mut grads = if candles { (y * dy)?.backward()? } else { backward_with(&y, dy)? };
            assert!(grads.get(&weight).is_some(), "a pass within has its own variables");
            Ok(grads.remove(&x).unwrap())
        };
        // The value is that of the function; its gradient comes from the hook.
        let through = x.apply_op1(Hook(Box::new(recomputed))).unwrap();
        let y = ((&through - through.detach()).unwrap() + inner).unwrap();
        let loss = linear(&relu(&y).unwrap(), &w, None).unwrap();
        let grads = backward(&loss).unwrap();
        let expected = backward(&linear(&relu(&plain(&x)).unwrap(), &w, None).unwrap()).unwrap();
        assert_eq!(values(grads.get(&x).unwrap()), values(expected.get(&x).unwrap()));
    }
}

#[test]
fn threads_share_a_graph() {
    let x = Var::from_tensor(&reals(&[30, 40], 1)).unwrap();
    let y = tanh(&x).unwrap();
    let loss = add_relu(&relu(&y).unwrap(), &y).unwrap();
    let expected = values(backward(&loss).unwrap().get(&x).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(values(backward(&loss).unwrap().get(&x).unwrap()), expected);
                    assert_eq!(values(loss.backward().unwrap().get(&x).unwrap()), expected);
                }
            });
        }
    });
}

/// On a stack of 2 MiB, as the threads of programs have it.
#[test]
fn deep_graphs_fit_the_stack() {
    let run = || {
        let x = Var::zeros(2, DType::F32, &Device::Cpu).unwrap();
        let mut y = x.as_tensor().clone();
        for _ in 0..2000 {
            y = relu(&y).unwrap();
        }
        assert!(backward(&y).unwrap().get(&x).is_some());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn what_is_no_operators_value() {
    let x = Var::from_tensor(&reals(&[2, 3], 1)).unwrap();
    let grad = reals(&[2, 3], 2);
    assert_eq!(values(backward_with(&x, &grad).unwrap().get(&x).unwrap()), values(&grad));
    let constant = relu(&reals(&[2, 3], 3)).unwrap();
    assert!(backward(&constant).unwrap().get(&x).is_none());
    let empty = Var::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(backward(&relu(&empty).unwrap()).unwrap().get(&empty).unwrap().dims(), [0, 3]);
}

#[test]
fn a_scalar_loss_and_a_tied_weight() {
    let w = Var::new(&[[2f64, 0.], [0., 3.]], &Device::Cpu).unwrap();
    let x = Tensor::new(&[[1f64, 1.]], &Device::Cpu).unwrap();
    let y = linear(&linear(&x, &w, None).unwrap(), &w, None).unwrap();
    let loss = mse_loss(&y, &y.zeros_like().unwrap(), Reduction::Sum).unwrap();
    // w⁴ on the diagonal has the derivative 4 w³; off it y₀ = 4 moves by 3 + 2, and y₁ = 9 by 2 + 3.
    assert_eq!(values(backward(&loss).unwrap().get(&w).unwrap()), [32., 40., 90., 108.]);
}

#[test]
fn refusals() {
    let y = relu(&Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let error = backward_with(&y, &Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { op: "backward_with", argument: "grad", .. }), "{error}");
    assert_eq!(error.to_string(), "backward_with: grad must have shape [2, 3], got [3, 2]");
    let error = backward_with(&y, &Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap()).unwrap_err();
    let expected = "backward_with: arguments must share one dtype, got F32 and F64; convert one with `to_dtype`";
    assert!(matches!(error, Error::DTypeMismatch { op: "backward_with", .. }), "{error}");
    assert_eq!(error.to_string(), expected);
}
