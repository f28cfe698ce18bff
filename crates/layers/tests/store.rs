//! Initial values: their distribution, and what they do and do not depend on. Names that are asked for twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use taper_layers::VarStore;

fn store(seed: u64) -> VarStore {
    VarStore::new(seed, DType::F32, &Device::Cpu)
}

fn values(seed: u64, name: &str, shape: (usize, usize), init: Init) -> Vec<f64> {
    let vb = VarStore::new(seed, DType::F64, &Device::Cpu).builder();
    vb.get_with_hints(shape, name, init).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// (mean, variance, skewness, kurtosis)
fn moments(values: &[f64]) -> (f64, f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |power: i32| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
    let variance = central(2);
    (mean, variance, central(3) / variance.powf(1.5), central(4) / variance.powi(2))
}

/// Every bound below is five standard errors of its statistic over 100,000 draws.
const SHAPE: (usize, usize) = (250, 400);
const ROOT_N: f64 = 316.227_766;

#[test]
fn uniform_values_fill_their_interval_evenly() {
    let values = values(3, "w", SHAPE, Init::Uniform { lo: -0.25, up: 0.75 });
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!((-0.25..-0.2499).contains(&low) && (0.7499..=0.75).contains(&high), "[{low}, {high}]");
    let (mean, variance, skewness, kurtosis) = moments(&values);
    assert!((mean - 0.25).abs() < 5.0 * 0.2887 / ROOT_N, "mean {mean}");
    assert!((variance - 1.0 / 12.0).abs() < 5.0 * 0.0745 / ROOT_N, "variance {variance}");
    assert!(skewness.abs() < 5.0 * 1.0 / ROOT_N, "skewness {skewness}");
    assert!((kurtosis - 1.8).abs() < 5.0 * 1.0 / ROOT_N, "kurtosis {kurtosis}");
    let tenths = values.iter().fold([0u32; 10], |mut bins, v| {
        bins[(((v + 0.25) * 10.0) as usize).min(9)] += 1;
        bins
    });
    assert!(tenths.iter().all(|&n| n.abs_diff(10_000) < 475), "{tenths:?}");
}

#[test]
fn normal_values_have_a_normals_moments() {
    let values = values(3, "w", SHAPE, Init::Randn { mean: -1.5, stdev: 0.5 });
    let (mean, variance, skewness, kurtosis) = moments(&values);
    assert!((mean + 1.5).abs() < 5.0 * 0.5 / ROOT_N, "mean {mean}");
    assert!((variance - 0.25).abs() < 5.0 * 0.25 * 2f64.sqrt() / ROOT_N, "variance {variance}");
    assert!(skewness.abs() < 5.0 * 6f64.sqrt() / ROOT_N, "skewness {skewness}");
    assert!((kurtosis - 3.0).abs() < 5.0 * 24f64.sqrt() / ROOT_N, "kurtosis {kurtosis}");
    let neighbours = values.windows(2).map(|pair| (pair[0] + 1.5) * (pair[1] + 1.5) / 0.25).sum::<f64>() / 100_000.0;
    assert!(neighbours.abs() < 5.0 / ROOT_N, "correlation of neighbours {neighbours}");
}

#[test]
fn kaiming_follows_fan_gain_and_distribution() {
    let kaiming = |dist, fan| Init::Kaiming { dist, fan, non_linearity: NonLinearity::ReLU };
    for (fan, n) in [(FanInOut::FanIn, 400.0), (FanInOut::FanOut, 250.0)] {
        let expected: f64 = 2.0 / n;
        for dist in [NormalOrUniform::Normal, NormalOrUniform::Uniform] {
            let (mean, variance, ..) = moments(&values(5, "w", SHAPE, kaiming(dist, fan)));
            assert!(mean.abs() < 5.0 * expected.sqrt() / ROOT_N, "{dist:?} {fan:?} mean {mean}");
            let spread = 5.0 * 2f64.sqrt() * expected / ROOT_N;
            assert!((variance - expected).abs() < spread, "{dist:?} {fan:?} variance {variance}");
        }
        let bound = (6.0 / n).sqrt();
        let largest =
            values(5, "w", SHAPE, kaiming(NormalOrUniform::Uniform, fan)).iter().fold(0f64, |m, v| m.max(v.abs()));
        assert!(largest <= bound && largest > 0.999 * bound, "{fan:?} {largest} of {bound}");
    }
}

#[test]
fn constants_are_exact_in_every_float_dtype() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let vb = VarStore::new(1, dtype, &Device::Cpu).builder();
        let tensor = vb.get_with_hints((2, 3), "c", Init::Const(-0.375)).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        let values: Vec<f64> = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(values, [-0.375; 6]);
    }
}

#[test]
fn seeds_and_names_and_nothing_else_decide_the_bits() {
    let uniform = Init::Uniform { lo: -1.0, up: 1.0 };
    let get = |store: &VarStore, name: &str| bits(&store.builder().get_with_hints((3, 7), name, uniform).unwrap());
    let (forward, backward) = (store(9), store(9));
    let (a, b) = (get(&forward, "a.weight"), get(&forward, "b.weight"));
    assert_eq!((get(&backward, "b.weight"), get(&backward, "a.weight")), (b.clone(), a.clone()));
    assert_ne!(a, b, "two names");
    assert_ne!(a, get(&store(10), "a.weight"), "two seeds");
    assert_ne!(a, get(&store(9 + (1 << 32)), "a.weight"), "two seeds that differ in the high word");
    let threaded = store(9);
    std::thread::scope(|scope| {
        for name in ["b.weight", "a.weight"] {
            let store = &threaded;
            scope.spawn(move || store.builder().get_with_hints((3, 7), name, uniform).unwrap());
        }
    });
    assert_eq!((get(&threaded, "a.weight"), get(&threaded, "b.weight")), (a, b));
}

/// Held in place: a change here changes every network that is built from a seed.
#[test]
fn the_first_values_of_seed_42_are_these() {
    let uniform = values(42, "fc.weight", (1, 5), Init::Uniform { lo: 0.0, up: 4_294_967_296.0 });
    let words = FC_WEIGHT_42.map(f64::from).to_vec();
    assert_eq!(uniform, words);
}

const FC_WEIGHT_42: [u32; 5] = [0xcf56e5b3, 0x83176558, 0xc7fe5ab2, 0x374de4a0, 0x10f94a88];

#[test]
fn a_name_asked_for_again_is_the_same_variable() {
    let store = store(1);
    let first = store.builder().pp("tied").get((2, 3), "weight").unwrap();
    let again = store.builder().pp("tied").get((2, 3), "weight").unwrap();
    assert_eq!(first.id(), again.id());
    store.vars()["tied.weight"].set(&Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert_eq!(again.to_vec2::<f32>().unwrap(), [[1.0; 3]; 2]);
    assert_eq!(store.builder().get_unchecked("tied.weight").unwrap().id(), first.id());
    assert!(store.builder().pp("tied").contains_tensor("weight"));
    assert!(!store.builder().contains_tensor("weight"));
}

#[test]
fn conflicts_name_both_sides_and_the_way_out() {
    let store = store(1);
    store.builder().pp("fc").get((2, 3), "weight").unwrap();
    let message = |result: candle_core::Result<Tensor>| result.unwrap_err().to_string();
    assert_eq!(
        message(store.builder().pp("fc").get((3, 2), "weight")),
        "tensor `fc.weight` exists with shape [2, 3] and is asked for again with [3, 2]; \
         give each layer its own prefix with `vb.pp(..)`"
    );
    assert_eq!(
        message(store.builder().to_dtype(DType::F64).pp("fc").get((2, 3), "weight")),
        "tensor `fc.weight` exists with dtype F32 and is asked for again with F64; a tensor has one dtype"
    );
    assert_eq!(
        message(store.builder().get_unchecked("fc.bias")),
        "there is no tensor `fc.bias`; ask for it with a shape to make it, or load a file that has it"
    );
}

#[test]
fn running_statistics_and_integers_are_buffers() {
    let store = store(1);
    let vb = store.builder();
    candle_nn::batch_norm(3, 1e-5, vb.pp("bn1")).unwrap();
    vb.get_with_hints_dtype((), "bn1.num_batches_tracked", Init::Const(0.0), DType::I64).unwrap();
    vb.get_with_hints_dtype((2, 3), "index", Init::Const(5.0), DType::U32).unwrap();
    assert_eq!(store.vars().keys().collect::<Vec<_>>(), ["bn1.bias", "bn1.weight"]);
    let buffers = store.buffers();
    let names = ["bn1.num_batches_tracked", "bn1.running_mean", "bn1.running_var", "index"];
    assert_eq!(buffers.keys().collect::<Vec<_>>(), names);
    assert_eq!(buffers["index"].to_vec2::<u32>().unwrap(), [[5; 3]; 2]);
}

#[test]
fn variables_are_sorted_and_trainable() {
    let store = store(1);
    for name in ["b", "a.z", "a.b", "B"] {
        store.builder().get((2, 3), name).unwrap();
    }
    let vars = store.vars();
    assert_eq!(vars.keys().collect::<Vec<_>>(), ["B", "a.b", "a.z", "b"]);
    assert!(vars.values().all(|var| var.is_variable()));
}
