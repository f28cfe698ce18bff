//! What an observer sees of a forward pass, and the table that is made of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::VarBuilder;
use std::panic::AssertUnwindSafe;
use taper_layers::{
    Conv2d, Conv2dConfig, Dropout, Flatten, Layer, LayerCall, Linear, MaxPool2d, ReLU, Sequential, VarStore, observe,
    summary,
};
use taper_ops::Mode;

/// LeNet-5 with rectified units and max pooling, as a user writes it.
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dropout: Dropout,
    fc: [Linear; 3],
}

impl LeNet {
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: Conv2d::new(1, 6, 5, Conv2dConfig::default().padding(2), vb.pp("conv1"))?,
            conv2: Conv2d::new(6, 16, 5, Conv2dConfig::default(), vb.pp("conv2"))?,
            pool: MaxPool2d::new(2),
            dropout: Dropout::new(0.5),
            fc: [
                Linear::new(400, 120, vb.pp("fc1"))?,
                Linear::new(120, 84, vb.pp("fc2"))?,
                Linear::new(84, 10, vb.pp("fc3"))?,
            ],
        })
    }
}

impl Layer for LeNet {
    fn forward_in(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let x = self.pool.forward(&ReLU.forward(&self.conv1.forward(x)?)?)?;
        let x = self.pool.forward(&ReLU.forward(&self.conv2.forward(&x)?)?)?;
        let x = self.dropout.forward_in(&Flatten::default().forward(&x)?, mode)?;
        let x = ReLU.forward(&self.fc[0].forward(&x)?)?;
        self.fc[2].forward(&ReLU.forward(&self.fc[1].forward(&x)?)?)
    }
}

fn store() -> VarStore {
    VarStore::new(1, DType::F32, &Device::Cpu)
}

fn names(calls: &[LayerCall]) -> Vec<&str> {
    calls.iter().map(|call| call.name.as_str()).collect()
}

#[test]
fn the_summary_of_lenet_is_the_one_worked_out_by_hand() {
    let store = store();
    let net = LeNet::new(store.builder()).unwrap();
    let table = summary(&net, (1, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(table.parameters(), 156 + 2_416 + 48_120 + 10_164 + 850);
    assert_eq!(table.parameters(), store.vars().values().map(|var| var.elem_count()).sum::<usize>());
    assert_eq!(table.multiply_adds(), 117_600 + 240_000 + 48_000 + 10_080 + 840);
    assert_eq!(
        table.to_string(),
        "\
Layer  Kind       Output shape     Parameters  Multiply-adds  Activations
-------------------------------------------------------------------------
conv1  Conv2d     [1, 6, 28, 28]          156        117,600     18.4 KiB
       ReLU       [1, 6, 28, 28]            0              0     18.4 KiB
       MaxPool2d  [1, 6, 14, 14]            0              0      4.6 KiB
conv2  Conv2d     [1, 16, 10, 10]       2,416        240,000      6.2 KiB
       ReLU       [1, 16, 10, 10]           0              0      6.2 KiB
       MaxPool2d  [1, 16, 5, 5]             0              0      1.6 KiB
       Flatten    [1, 400]                  0              0      1.6 KiB
       Dropout    [1, 400]                  0              0      1.6 KiB
fc1    Linear     [1, 120]             48,120         48,000        480 B
       ReLU       [1, 120]                  0              0        480 B
fc2    Linear     [1, 84]              10,164         10,080        336 B
       ReLU       [1, 84]                   0              0        336 B
fc3    Linear     [1, 10]                 850            840         40 B
-------------------------------------------------------------------------
Total                                  61,706        416,520     60.2 KiB
Memory of the parameters: 241.0 KiB"
    );
    assert_eq!(table.rows[2].text, "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)");
}

#[test]
fn groups_batches_and_other_dtypes_are_counted_right() {
    let store = VarStore::new(1, DType::F64, &Device::Cpu);
    let config = Conv2dConfig::default().groups(2).stride([2, 1]).bias(false);
    let conv = Conv2d::new(4, 6, [3, 2], config, store.builder().pp("conv")).unwrap();
    let table = summary(&conv, (3, 4, 9, 5), DType::F64, &Device::Cpu).unwrap();
    assert_eq!(table.rows[0].output_shape, [3, 6, 4, 4]);
    assert_eq!((table.parameters(), table.multiply_adds()), (6 * 2 * 6, 3 * 6 * 16 * 2 * 6));
    assert_eq!((table.parameter_bytes(), table.activation_bytes()), (8 * 6 * 2 * 6, 8 * 3 * 6 * 16));
}

#[test]
fn a_shared_layer_has_its_parameters_counted_once() {
    let fc = Linear::new(4, 4, store().builder().pp("fc")).unwrap();
    let net = Sequential::new().add(fc.clone()).add(fc);
    let table = summary(&net, (2, 4), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(table.rows.iter().map(|row| row.parameters).collect::<Vec<_>>(), [Some(20), Some(0)]);
    assert_eq!(table.multiply_adds(), 2 * 2 * 16);
    assert_eq!((table.parameter_bytes(), table.activation_bytes()), (80, 2 * 2 * 4 * 4));
}

#[test]
fn modules_from_elsewhere_show_that_their_cost_is_not_known() {
    let theirs = candle_nn::linear(4, 3, store().builder().pp("fc")).unwrap();
    let net = Sequential::new().add(ReLU).add_module("head", theirs);
    let table = summary(&net, (2, 4), DType::F32, &Device::Cpu).unwrap();
    assert_eq!((table.rows[1].parameters, table.rows[1].multiply_adds), (None, None));
    assert_eq!(
        table.to_string().lines().nth(3).unwrap().split_whitespace().collect::<Vec<_>>(),
        ["head", "[2,", "3]", "?", "?", "24", "B"]
    );
}

#[test]
fn a_network_that_does_not_fit_its_input_gives_the_operators_error() {
    let net = LeNet::new(store().builder()).unwrap();
    let error = summary(&net, (1, 3, 28, 28), DType::F32, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("takes 1 input channels, got 3"), "{error}");
}

#[test]
fn calls_hold_what_went_in_and_what_came_out() {
    let net = LeNet::new(store().builder()).unwrap();
    let x = Tensor::ones((2, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
    let (y, calls) = observe(|| net.train(3, 4, 0).forward(&x));
    assert_eq!(
        names(&calls),
        [
            "conv1",
            "ReLU",
            "MaxPool2d",
            "conv2",
            "ReLU",
            "MaxPool2d",
            "Flatten",
            "Dropout",
            "fc1",
            "ReLU",
            "fc2",
            "ReLU",
            "fc3"
        ]
    );
    assert_eq!(calls[0].input.id(), x.id());
    assert_eq!(calls[12].output.id(), y.unwrap().id());
    for pair in calls.windows(2) {
        assert_eq!(pair[0].output.id(), pair[1].input.id());
    }
    assert_eq!(calls[7].kind, "Dropout");
    let dropped = calls[7].output.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(dropped.contains(&0.0), "a training pass is seen as it is");
}

#[test]
fn nested_observations_both_see_and_nothing_is_left_behind() {
    let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let ((inner, _), outer) = observe(|| {
        ReLU.forward(&x).unwrap();
        let (_, inner) = observe(|| Flatten::default().forward(&x));
        (inner, ReLU.forward(&x))
    });
    assert_eq!(names(&inner), ["Flatten"]);
    assert_eq!(names(&outer), ["ReLU", "Flatten", "ReLU"]);
    ReLU.forward(&x).unwrap();
    assert!(observe(|| ()).1.is_empty());
}

#[test]
fn errors_show_the_calls_before_them_and_panics_end_the_observation() {
    let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let net = Sequential::new().add(ReLU).add(Dropout::new(2.0)).add(ReLU);
    let (result, calls) = observe(|| net.eval().forward(&x));
    assert!(result.is_err());
    assert_eq!(names(&calls), ["ReLU"]);

    let (caught, outer) = observe(|| {
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
            observe(|| {
                Flatten::default().forward(&x).unwrap();
                panic!("in the middle of a forward pass");
            })
        }));
        ReLU.forward(&x).unwrap();
        caught.is_err()
    });
    assert!(caught);
    assert_eq!(names(&outer), ["ReLU"], "the inner observation ended with its panic");
}

#[test]
fn an_observer_sees_its_own_thread() {
    let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let (_, calls) = observe(|| std::thread::scope(|scope| scope.spawn(|| ReLU.forward(&x).unwrap()).join().unwrap()));
    assert!(calls.is_empty());
}
