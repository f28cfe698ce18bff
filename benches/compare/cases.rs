//! What is timed, by taper and by candle. `peers/torch_peer.py` has PyTorch's side under the same names.

use crate::{Failure, Library, nets};
use candle_core::{Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use taper_benches::{CONV_LAYERS, ConvLayer};
use taper_ops::{
    AvgPoolSpec, ConvSpec, ConvTransposeSpec, MaxPoolSpec, Mode, avg_pool2d, backward_with, batch_norm,
    conv_transpose2d, conv2d, dropout, max_pool2d,
};

/// Operators other than convolution layers, in the table's order.
const OPERATORS: [&str; 6] =
    ["conv_transpose", "max_pool 2", "max_pool 3 s2 p1", "avg_pool 2", "dropout", "batch_norm"];

/// How long a figure is measured, and how often at least.
const TIME: Duration = Duration::from_millis(700);
const REPEATS: usize = 5;

/// What one process measured, in milliseconds and MiB.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The forward pass; of a training step there is none alone.
    pub(crate) forward: Option<f64>,
    /// Forward and backward, or a whole training step.
    pub(crate) whole: f64,
    /// The most memory that the process held.
    pub(crate) peak_mib: f64,
}

impl Figures {
    /// The less of each.
    pub(crate) fn best(&self, other: &Self) -> Self {
        Self {
            forward: self.forward.into_iter().chain(other.forward).min_by(f64::total_cmp),
            whole: self.whole.min(other.whole),
            peak_mib: self.peak_mib.min(other.peak_mib),
        }
    }
}

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    CONV_LAYERS.iter().map(|layer| layer.name).chain(OPERATORS).chain(nets::NAMES).collect()
}

/// Prints what `case` takes.
pub(crate) fn time(library: Library, case: &str, device: &Device) -> std::result::Result<(), Failure> {
    let (forward, whole) = match CONV_LAYERS.iter().find(|layer| layer.name == case) {
        Some(layer) => conv_layer(library, layer, device)?,
        None if nets::NAMES.contains(&case) => (None, nets::step(library, case, device)?),
        None => operator(library, case, device)?,
    };
    println!("{}", serde_json::to_string(&Figures { forward, whole, peak_mib: peak_mib() })?);
    Ok(())
}

type Times = (Option<f64>, f64);

fn conv_layer(library: Library, layer: &ConvLayer, device: &Device) -> std::result::Result<Times, Failure> {
    let ConvLayer { stride, padding, groups, .. } = *layer;
    let spec = ConvSpec::<2>::default().stride(stride).padding(padding).groups(groups);
    let (x, w) = layer.tensors()?;
    let inputs = [on(device, &x)?, on(device, &w)?];
    match library {
        Library::Taper => both(library, &inputs, |t| Ok(conv2d(&t[0], &t[1], None, &spec)?)),
        Library::Candle => both(library, &inputs, |t| t[0].conv2d(&t[1], padding, stride, 1, groups)),
    }
}

fn operator(library: Library, case: &str, device: &Device) -> std::result::Result<Times, Failure> {
    let random = |shape: &[usize]| random(shape, device);
    let map = [random(&[64, 32, 28, 28])?];
    let max = MaxPoolSpec::new(3).stride(2).padding(1);
    let transpose = ConvTransposeSpec::default().stride(2).padding(1);
    let norm = || -> Result<[Var; 3]> {
        let [weight, bias] =
            [Tensor::ones(64, candle_core::DType::F32, device)?, Tensor::zeros(64, candle_core::DType::F32, device)?];
        Ok([random(&[32, 64, 56, 56])?, Var::from_tensor(&weight)?, Var::from_tensor(&bias)?])
    };
    match (library, case) {
        (Library::Taper, "conv_transpose") => {
            let x = [random(&[16, 64, 28, 28])?, random(&[64, 32, 4, 4])?];
            both(library, &x, |t| Ok(conv_transpose2d(&t[0], &t[1], None, &transpose)?))
        }
        (Library::Candle, "conv_transpose") => {
            let x = [random(&[16, 64, 28, 28])?, random(&[64, 32, 4, 4])?];
            both(library, &x, |t| t[0].conv_transpose2d(&t[1], 1, 0, 2, 1))
        }
        (Library::Taper, "max_pool 2") => both(library, &map, |t| Ok(max_pool2d(&t[0], &MaxPoolSpec::new(2))?)),
        (Library::Candle, "max_pool 2") => both(library, &map, |t| t[0].max_pool2d(2)),
        (Library::Taper, "max_pool 3 s2 p1") => {
            both(library, &[random(&[16, 64, 112, 112])?], |t| Ok(max_pool2d(&t[0], &max)?))
        }
        (Library::Taper, "avg_pool 2") => both(library, &map, |t| Ok(avg_pool2d(&t[0], &AvgPoolSpec::new(2))?)),
        (Library::Candle, "avg_pool 2") => both(library, &map, |t| t[0].avg_pool2d(2)),
        (Library::Taper, "dropout") => {
            let draw = Mode::train(42, 0, 0).draw().ok_or("a training mode draws")?;
            both(library, &map, |t| Ok(dropout(&t[0], 0.5, draw)?))
        }
        (Library::Candle, "dropout") => both(library, &map, |t| candle_nn::ops::dropout(&t[0], 0.5)),
        (Library::Taper, "batch_norm") => {
            both(library, &norm()?, |t| Ok(batch_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)?))
        }
        (Library::Candle, "batch_norm") => {
            let [x, weight, bias] = norm()?;
            let (mean, var) = (Tensor::zeros_like(&bias)?, Tensor::ones_like(&weight)?);
            let norm =
                candle_nn::BatchNorm::new(64, mean, var, weight.as_tensor().clone(), bias.as_tensor().clone(), 1e-5)?;
            both(library, &[x], |t| norm.forward_train(&t[0]))
        }
        _ => Err(format!("{library:?} has no case {case}").into()),
    }
}

/// The median time of `f` on detached inputs, and of `f` and the gradients of all of them: taper and PyTorch are handed the
/// cotangent, candle makes one.
fn both(
    library: Library,
    inputs: &[Var],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> std::result::Result<Times, Failure> {
    let detached: Vec<Tensor> = inputs.iter().map(|x| x.as_detached_tensor()).collect();
    let tracked: Vec<Tensor> = inputs.iter().map(|x| x.as_tensor().clone()).collect();
    let ones = f(&detached)?.ones_like()?;
    let forward = median_ms(|| f(&detached)?.device().synchronize())?;
    let whole = median_ms(|| {
        let y = f(&tracked)?;
        match library {
            Library::Taper => drop(backward_with(&y, &ones)?),
            Library::Candle => drop(y.backward()?),
        }
        y.device().synchronize()
    })?;
    Ok((Some(forward), whole))
}

/// The median time of `f` in milliseconds, after a warm-up.
pub(crate) fn median_ms<E>(mut f: impl FnMut() -> std::result::Result<(), E>) -> std::result::Result<f64, E> {
    f()?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < REPEATS || begin.elapsed() < TIME {
        let start = Instant::now();
        f()?;
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn random(shape: &[usize], device: &Device) -> Result<Var> {
    Var::from_tensor(&Tensor::randn(0f32, 1., shape, device)?)
}

fn on(device: &Device, x: &Var) -> Result<Var> {
    Var::from_tensor(&x.as_detached_tensor().to_device(device)?)
}

/// The peak of the resident memory, where the system tells it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    peak.map_or(f64::NAN, |kib| kib / 1024.)
}
