//! The normalisation layers: PyTorch's state dicts, running statistics, what they print, refuse and cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/state_dict.rs"]
mod state_dict;

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use state_dict::StateDicts;
use std::collections::{BTreeMap, HashMap};
use taper_gradcheck::GradCheck;
use taper_layers::{
    BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormConfig, Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig,
    InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormConfig, Layer, LayerNorm, LayerNormConfig,
    LocalResponseNorm, LocalResponseNormConfig, RMSNorm, RMSNormConfig, Sequential, VarStore, summary,
};
use taper_ops::{Error, batch_norm, batch_norm_with_statistics, instance_norm, instance_norm_with_statistics};

fn store(dtype: DType) -> VarStore {
    VarStore::new(11, dtype, &Device::Cpu)
}

/// Numbers without symmetry: `1 + 2 · sin(first), 1 + 2 · sin(first + 1), …`.
fn x(first: usize, shape: &[usize]) -> Tensor {
    let values = (first..).take(shape.iter().product()).map(|i| 1. + 2. * (i as f64).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Every buffer to the bit.
fn buffers(store: &VarStore) -> BTreeMap<String, Vec<u64>> {
    let bits = |tensor: &Tensor| values(tensor).into_iter().map(f64::to_bits).collect();
    store.buffers().iter().map(|(name, var)| (name.clone(), bits(var))).collect()
}

fn close(actual: &Tensor, expected: &[f64]) {
    let actual = values(actual);
    assert_eq!(actual.len(), expected.len());
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * (1. + b.abs()), "{actual:?} for {expected:?}");
    }
}

#[test]
fn pytorchs_state_dicts() {
    let mut golden = StateDicts::read("norms");
    let batch = BatchNormConfig::default();
    golden.hold("batch_norm1d", |vb| BatchNorm1d::new(3, batch.momentum(0.3), vb));
    golden.hold("batch_norm1d_length", |vb| BatchNorm1d::new(3, batch.eps(1e-3).bias(false), vb));
    golden.hold("batch_norm2d", |vb| BatchNorm2d::new(3, batch, vb));
    golden.hold("batch_norm2d_cumulative", |vb| BatchNorm2d::new(3, batch.momentum(None).affine(false), vb));
    golden.hold("batch_norm2d_untracked", |vb| BatchNorm2d::new(3, batch.track_running_stats(false), vb));
    golden.hold("batch_norm3d", |vb| BatchNorm3d::new(3, batch, vb));
    let group = GroupNormConfig::default();
    golden.hold("group_norm", |vb| GroupNorm::new(2, 6, group, vb));
    golden.hold("group_norm_weight", |vb| GroupNorm::new(3, 6, group.eps(1e-3).bias(false), vb));
    let instance = InstanceNormConfig::default().affine(true);
    let tracked = instance.track_running_stats(true);
    golden.hold("instance_norm1d", |vb| InstanceNorm1d::new(3, tracked.momentum(0.3), vb));
    golden.hold("instance_norm1d_unbatched", |vb| InstanceNorm1d::new(3, tracked, vb));
    golden.hold("instance_norm2d", |vb| InstanceNorm2d::new(3, instance.bias(false), vb));
    golden.hold("instance_norm3d", |vb| InstanceNorm3d::new(3, tracked, vb));
    let layer = LayerNormConfig::default();
    golden.hold("layer_norm", |vb| LayerNorm::new((4, 5), layer, vb));
    golden.hold("layer_norm_weight", |vb| LayerNorm::new(5, layer.eps(1e-3).bias(false), vb));
    golden.hold("rms_norm", |vb| RMSNorm::new((4, 5), RMSNormConfig::default(), vb));
    golden.hold("rms_norm_eps", |vb| RMSNorm::new(5, RMSNormConfig::default().eps(1e-2), vb));
    golden.finish();
}

#[test]
fn they_print_as_pytorch_prints_them() {
    let store = store(DType::F32);
    let vb = |name: &str| store.builder().pp(name);
    let batch = BatchNormConfig::default().momentum(None).track_running_stats(false);
    let instance = InstanceNormConfig::default();
    let tracked = instance.affine(true).track_running_stats(true).bias(false);
    let rms = RMSNormConfig::default().elementwise_affine(false);
    let (layer, group) = (LayerNormConfig::default(), GroupNormConfig::default().affine(false));
    let response = LocalResponseNormConfig::default();
    for (layer, text) in [
        (
            BatchNorm1d::new(3, batch, vb("1")).unwrap().to_string(),
            "BatchNorm1d(3, eps=1e-05, momentum=None, affine=True, bias=True, track_running_stats=False)",
        ),
        (
            BatchNorm3d::new(3, BatchNormConfig::default().affine(false), vb("2")).unwrap().to_string(),
            "BatchNorm3d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=True)",
        ),
        (
            InstanceNorm2d::new(3, instance, vb("3")).unwrap().to_string(),
            "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        ),
        (
            InstanceNorm3d::new(3, tracked, vb("4")).unwrap().to_string(),
            "InstanceNorm3d(3, eps=1e-05, momentum=0.1, affine=True, bias=False, track_running_stats=True)",
        ),
        (
            GroupNorm::new(2, 4, group, vb("5")).unwrap().to_string(),
            "GroupNorm(2, 4, eps=1e-05, affine=False, bias=False)",
        ),
        (
            LayerNorm::new(4, layer.elementwise_affine(false), vb("6")).unwrap().to_string(),
            "LayerNorm((4,), eps=1e-05, elementwise_affine=False, bias=False)",
        ),
        (
            RMSNorm::new((4, 5), rms, vb("7")).unwrap().to_string(),
            "RMSNorm((4, 5), eps=None, elementwise_affine=False)",
        ),
        (LocalResponseNorm::new(2, response).to_string(), "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)"),
    ] {
        assert_eq!(layer, text);
    }
}

#[test]
fn parameters_and_buffers_begin_as_pytorchs() {
    let store = store(DType::F64);
    BatchNorm2d::new(3, BatchNormConfig::default(), store.builder().pp("bn")).unwrap();
    let of = |tensors: BTreeMap<String, candle_core::Var>| -> Vec<_> {
        tensors.into_iter().map(|(name, var)| (name, var.dtype(), var.dims().to_vec(), values(&var))).collect()
    };
    let entry = |name: &str, values: [f64; 3]| (name.to_owned(), DType::F64, vec![3], values.to_vec());
    assert_eq!(of(store.vars()), [entry("bn.bias", [0.; 3]), entry("bn.weight", [1.; 3])]);
    let count = ("bn.num_batches_tracked".to_owned(), DType::I64, vec![], vec![0.]);
    let statistics = [entry("bn.running_mean", [0.; 3]), entry("bn.running_var", [1.; 3])];
    assert_eq!(of(store.buffers()), [&[count], statistics.as_slice()].concat());
}

#[test]
fn without_a_momentum_the_running_statistics_are_the_average_over_the_batches() {
    for (batches, shape) in [(1, [2, 3, 4, 5]), (4, [3, 2, 1, 7]), (7, [2, 5, 2, 1])] {
        let store = store(DType::F64);
        let config = BatchNormConfig::default().momentum(None);
        let batch = BatchNorm2d::new(shape[1], config, store.builder().pp("batch")).unwrap();
        let config = InstanceNormConfig::default().momentum(None).track_running_stats(true);
        let instance = InstanceNorm2d::new(shape[1], config, store.builder().pp("instance")).unwrap();
        let mut sums = [[0.; 2]; 2].map(|sums| sums.map(|sum| vec![sum; shape[1]]));
        for step in 0..batches {
            let x = x(1000 * step, &shape);
            batch.train(1, step as u32, 0).forward(&x).unwrap();
            instance.train(1, step as u32, 0).forward(&x).unwrap();
            let (_, of_batch) = batch_norm_with_statistics(&x, None, None, 1e-5).unwrap();
            let (_, of_instances) = instance_norm_with_statistics(&x, None, None, 1e-5).unwrap();
            for (sums, statistics) in sums.iter_mut().zip([of_batch, of_instances]) {
                for (sums, tensor) in sums.iter_mut().zip([statistics.mean, statistics.var]) {
                    sums.iter_mut().zip(values(&tensor)).for_each(|(sum, value)| *sum += value / batches as f64);
                }
            }
        }
        close(batch.running_mean().unwrap(), &sums[0][0]);
        close(batch.running_var().unwrap(), &sums[0][1]);
        close(instance.running_mean().unwrap(), &sums[1][0]);
        close(instance.running_var().unwrap(), &sums[1][1]);
        for name in ["batch", "instance"] {
            let count = store.buffers()[&format!("{name}.num_batches_tracked")].to_scalar::<i64>().unwrap();
            assert_eq!(count, batches as i64);
        }
    }
}

/// In evaluation `(x − running mean) / √(running var + eps)`, after training has moved both.
#[test]
fn evaluation_uses_what_training_left() {
    let store = store(DType::F64);
    let norm = BatchNorm2d::new(2, BatchNormConfig::default().momentum(0.25), store.builder()).unwrap();
    let first = x(1, &[3, 2, 2, 4]);
    norm.train(1, 0, 0).forward(&first).unwrap();
    let before = buffers(&store);
    let second = x(100, &[1, 2, 1, 1]);
    let y = norm.eval().forward(&second).unwrap();
    assert_eq!(buffers(&store), before, "evaluation moves nothing");
    let expected = (0..2).map(|channel| {
        let channel_values = values(&first.narrow(1, channel, 1).unwrap());
        let mean = channel_values.iter().sum::<f64>() / 24.;
        let var = channel_values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 23.;
        let (mean, var) = (0.25 * mean, 0.75 + 0.25 * var);
        (values(&second)[channel] - mean) / (var + 1e-5).sqrt()
    });
    close(&y, &expected.collect::<Vec<_>>());
}

#[test]
fn without_running_statistics_evaluation_is_as_training() {
    let store = store(DType::F64);
    let config = BatchNormConfig::default().track_running_stats(false).affine(false);
    let batch = BatchNorm2d::new(3, config, store.builder().pp("batch")).unwrap();
    let instance = InstanceNorm2d::new(3, InstanceNormConfig::default(), store.builder().pp("instance")).unwrap();
    assert!(store.vars().is_empty() && store.buffers().is_empty());
    let x = x(1, &[2, 3, 4, 5]);
    let (of_batch, of_instances) =
        (batch_norm(&x, None, None, 1e-5).unwrap(), instance_norm(&x, None, None, 1e-5).unwrap());
    for (layer, expected) in [(&batch as &dyn Layer, of_batch), (&instance, of_instances)] {
        for mode in [taper_ops::Mode::eval(), taper_ops::Mode::train(1, 0, 0)] {
            assert_eq!(values(&layer.forward_in(&x, &mode).unwrap()), values(&expected));
        }
    }
}

#[test]
fn a_sample_alone_is_a_batch_of_one() {
    let config = InstanceNormConfig::default().affine(true).track_running_stats(true);
    let [(of_batch, after_batch), (of_sample, after_sample)] = [true, false].map(|batched| {
        let store = store(DType::F64);
        let norm = InstanceNorm3d::new(2, config, store.builder()).unwrap();
        let x = x(1, if batched { &[1, 2, 3, 1, 4] } else { &[2, 3, 1, 4] });
        let y = norm.train(1, 0, 0).forward(&x).unwrap();
        assert_eq!(y.dims(), x.dims());
        assert_eq!(norm.eval().forward(&x).unwrap().dims(), x.dims());
        (values(&y), buffers(&store))
    });
    assert_eq!((of_sample, after_sample), (of_batch, after_batch));
}

#[test]
fn running_statistics_are_no_part_of_the_graph() {
    let store = store(DType::F32);
    let norm = BatchNorm2d::new(3, BatchNormConfig::default(), store.builder()).unwrap();
    let x = x(1, &[2, 3, 4, 5]).to_dtype(DType::F32).unwrap();
    let trained = norm.train(1, 0, 0).forward(&x).unwrap();
    for y in [trained, norm.eval().forward(&x).unwrap()] {
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        assert!(store.vars().values().all(|var| grads.get(var).is_some()));
        assert!(store.buffers().values().all(|var| grads.get(var).is_none()));
    }
}

/// In bf16 and f16 everything but the count is of that dtype, as in PyTorch.
#[test]
fn half_precision() {
    for dtype in [DType::F16, DType::BF16] {
        let store = store(dtype);
        let norm = BatchNorm2d::new(3, BatchNormConfig::default(), store.builder()).unwrap();
        let y = norm.train(1, 0, 0).forward(&x(1, &[2, 3, 4, 5]).to_dtype(dtype).unwrap()).unwrap();
        assert_eq!((y.dtype(), norm.running_var().unwrap().dtype()), (dtype, dtype));
        let (_, batch) = batch_norm_with_statistics(&x(1, &[2, 3, 4, 5]), None, None, 1e-5).unwrap();
        for (mean, batch) in values(norm.running_mean().unwrap()).into_iter().zip(values(&batch.mean)) {
            assert!((mean - 0.1 * batch).abs() < 1e-3, "{mean} for {}", 0.1 * batch);
        }
    }
}

#[test]
fn a_forward_pass_that_fails_moves_nothing() {
    let store = store(DType::F64);
    let batch1d = BatchNorm1d::new(3, BatchNormConfig::default(), store.builder().pp("batch1d")).unwrap();
    let batch2d = BatchNorm2d::new(3, BatchNormConfig::default(), store.builder().pp("batch2d")).unwrap();
    let config = InstanceNormConfig::default().track_running_stats(true);
    let instance = InstanceNorm1d::new(3, config, store.builder().pp("instance")).unwrap();
    let count = &store.buffers()["instance.num_batches_tracked"];
    let before = buffers(&store);
    let refused = |layer: &dyn Layer, x: &Tensor| {
        let error = Error::from(layer.forward_in(x, &taper_ops::Mode::train(1, 0, 0)).unwrap_err());
        assert_eq!(buffers(&store), before, "{error}");
        error
    };
    let error = refused(&batch2d, &x(1, &[2, 4, 5, 6]));
    assert!(matches!(error, Error::Shape { op: "BatchNorm2d", .. }));
    assert_eq!(error.to_string(), "BatchNorm2d: input must have shape [2, 3, 5, 6], got [2, 4, 5, 6]");
    let error = refused(&batch2d, &x(1, &[2, 3, 5]));
    assert!(matches!(error, Error::Rank { op: "BatchNorm2d", .. }));
    assert_eq!(error.to_string(), "BatchNorm2d: input must have 4 dimensions, got shape [2, 3, 5]");
    let error = refused(&batch1d, &x(1, &[2, 3, 5, 6]));
    assert_eq!(error.to_string(), "BatchNorm1d: input must have 2 or 3 dimensions, got shape [2, 3, 5, 6]");
    let error = refused(&batch1d, &x(1, &[1, 3]));
    assert!(matches!(error, Error::TooFewValues { .. }));
    let error = refused(&batch1d, &x(1, &[2, 3]).to_dtype(DType::F32).unwrap());
    assert!(matches!(error, Error::DTypeMismatch { .. }));
    let error = refused(&instance, &x(1, &[4, 5]));
    assert_eq!(error.to_string(), "InstanceNorm1d: input must have shape [3, 5], got [4, 5]");
    let error = refused(&instance, &x(1, &[2, 4, 5]));
    assert_eq!(error.to_string(), "InstanceNorm1d: input must have shape [2, 3, 5], got [2, 4, 5]");
    for shape in [&[3][..], &[2, 3, 4, 5]] {
        assert!(matches!(refused(&instance, &x(1, shape)), Error::Rank { op: "InstanceNorm1d", .. }));
    }

    count.set(&Tensor::new(-2i64, &Device::Cpu).unwrap()).unwrap();
    let error = Error::from(instance.train(1, 0, 0).forward(&x(1, &[2, 3, 4])).unwrap_err());
    assert_eq!(error.to_string(), "InstanceNorm1d: num_batches_tracked must be at least 0, got -2");
    count.set(&Tensor::new(i64::MAX, &Device::Cpu).unwrap()).unwrap();
    instance.train(1, 0, 0).forward(&x(1, &[2, 3, 4])).unwrap();
    assert_eq!(count.to_scalar::<i64>().unwrap(), i64::MAX);
}

#[test]
fn what_cannot_be_built_is_refused_with_the_values() {
    let store = store(DType::F32);
    for momentum in [-0.1, 1.5, f64::NAN] {
        let config = BatchNormConfig::default().momentum(momentum);
        let error = Error::from(BatchNorm2d::new(3, config, store.builder()).unwrap_err());
        assert!(matches!(error, Error::Value { op: "BatchNorm2d", argument: "momentum", .. }));
        assert_eq!(error.to_string(), format!("BatchNorm2d: momentum must be between 0 and 1, got {momentum}"));
    }
    let group = |num_groups| GroupNorm::new(num_groups, 4, GroupNormConfig::default(), store.builder()).unwrap_err();
    assert_eq!(group(0).to_string(), "GroupNorm: num_groups must be positive, got [0]");
    assert_eq!(group(3).to_string(), "GroupNorm: groups (=3) must divide num_channels (=4)");
    assert!(store.vars().is_empty() && store.buffers().is_empty(), "a refused layer makes nothing");
    let group = GroupNorm::new(2, 4, GroupNormConfig::default().affine(false), store.builder()).unwrap();
    let error = group.forward(&x(1, &[2, 6, 3])).unwrap_err();
    assert_eq!(error.to_string(), "GroupNorm: input must have shape [2, 4, 3], got [2, 6, 3]");
}

/// A `VarMap` keeps the statistics beside the parameters; a file of tensors has them as a start.
#[test]
fn they_are_built_over_candles_own_builders() {
    let (map, x) = (VarMap::new(), x(1, &[2, 3, 4, 5]).to_dtype(DType::F32).unwrap());
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let norm = BatchNorm2d::new(3, BatchNormConfig::default(), vb.pp("bn1")).unwrap();
    norm.train(1, 0, 0).forward(&x).unwrap();
    let y = norm.eval().forward(&x).unwrap();
    let tensors: HashMap<_, _> =
        map.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
    assert_eq!(tensors["bn1.num_batches_tracked"].to_scalar::<i64>().unwrap(), 1);
    assert_eq!(values(&tensors["bn1.running_mean"]), values(norm.running_mean().unwrap()));
    assert_ne!(values(&tensors["bn1.running_mean"]), [0.; 3]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    map.save(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let vb = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap();
    let read = BatchNorm2d::new(3, BatchNormConfig::default(), vb.pp("bn1")).unwrap();
    assert_eq!(values(&read.eval().forward(&x).unwrap()), values(&y));

    // candle-nn's files have no count.
    let mut uncounted = tensors.clone();
    uncounted.remove("bn1.num_batches_tracked");
    let vb = VarBuilder::from_tensors(uncounted, DType::F32, &Device::Cpu);
    let read = BatchNorm2d::new(3, BatchNormConfig::default(), vb.pp("bn1")).unwrap();
    assert_eq!(values(&read.eval().forward(&x).unwrap()), values(&y));
    read.train(1, 0, 0).forward(&x).unwrap();
    assert_ne!(values(read.running_mean().unwrap()), values(&tensors["bn1.running_mean"]), "it still trains");

    let mut without_mean = tensors;
    without_mean.remove("bn1.running_mean");
    let vb = VarBuilder::from_tensors(without_mean, DType::F32, &Device::Cpu);
    let error = BatchNorm2d::new(3, BatchNormConfig::default(), vb.pp("bn1")).unwrap_err();
    assert!(error.to_string().contains("bn1.running_mean"), "{error}");
}

#[test]
fn a_summary_counts_parameters_and_not_buffers() {
    let store = store(DType::F32);
    let vb = store.builder();
    let net = Sequential::new()
        .add(Conv2d::new(2, 4, 3, Conv2dConfig::default().bias(false), vb.pp("conv1")).unwrap())
        .add(BatchNorm2d::new(4, BatchNormConfig::default(), vb.pp("bn1")).unwrap())
        .add(GroupNorm::new(2, 4, GroupNormConfig::default().bias(false), vb.pp("norm2")).unwrap())
        .add(LayerNorm::new((3, 5), LayerNormConfig::default(), vb.pp("norm3")).unwrap())
        .add(RMSNorm::new(5, RMSNormConfig::default(), vb.pp("norm4")).unwrap());
    let before = buffers(&store);
    let table = summary(&net, (1, 2, 5, 7), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(buffers(&store), before);
    let rows: Vec<_> = table.rows.iter().map(|row| (row.name.as_str(), row.kind.as_str(), row.parameters)).collect();
    let expected = [
        ("conv1", "Conv2d", Some(72)),
        ("bn1", "BatchNorm2d", Some(8)),
        ("norm2", "GroupNorm", Some(4)),
        ("norm3", "LayerNorm", Some(30)),
        ("norm4", "RMSNorm", Some(5)),
    ];
    assert_eq!(rows, expected);
    assert_eq!(table.parameters(), store.vars().values().map(|var| var.elem_count()).sum::<usize>());
    assert!(table.rows[1..].iter().all(|row| row.multiply_adds == Some(0)));
}

/// Every parameter's gradient and the input's, through normalisations of every kind, in training and in evaluation.
#[test]
fn a_networks_gradient_is_its_finite_difference_in_both_modes() {
    let net = |vb: VarBuilder<'_>| -> Result<Sequential> {
        let tracked = InstanceNormConfig::default().affine(true).track_running_stats(true);
        Ok(Sequential::new()
            .add(Conv2d::new(2, 4, [3, 2], Conv2dConfig::default().bias(false), vb.pp("conv1"))?)
            .add(BatchNorm2d::new(4, BatchNormConfig::default(), vb.pp("bn1"))?)
            .add(taper_layers::Tanh)
            .add(Conv2d::new(4, 3, [1, 2], Conv2dConfig::default(), vb.pp("conv2"))?)
            .add(InstanceNorm2d::new(3, tracked, vb.pp("norm2"))?)
            .add(taper_layers::Tanh)
            .add(GroupNorm::new(1, 3, GroupNormConfig::default(), vb.pp("norm3"))?)
            .add(LocalResponseNorm::new(2, LocalResponseNormConfig::default().alpha(0.3))))
    };
    let store = store(DType::F64);
    let images = x(1, &[2, 2, 5, 6]);
    net(store.builder()).unwrap().train(1, 0, 0).forward(&x(500, &[2, 2, 5, 6])).unwrap();
    let buffers: Vec<_> = store.buffers().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let (names, mut inputs): (Vec<_>, Vec<_>) =
        store.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).unzip();
    inputs.push(images);
    for training in [true, false] {
        let f = |inputs: &[Tensor]| {
            let tensors = names.iter().cloned().zip(inputs.iter().cloned()).chain(buffers.clone()).collect();
            let net = net(VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu))?;
            let x = &inputs[names.len()];
            if training { net.train(1, 1, 0).forward(x) } else { net.eval().forward(x) }
        };
        GradCheck::new(format!("network, training: {training}")).check(f, &inputs).unwrap().assert_passed();
    }
}
