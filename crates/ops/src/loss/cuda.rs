//! The kernels of the losses.

use super::cpu::{Abs, BinaryCrossEntropy, Difference, KlDiv, KlDivOfLogs, Rounded, Square};
use super::spec::Weights;
use crate::cuda::{Arg, Kernel};
use crate::elementwise::{Call, OnDevice};

static KERNEL: Kernel = Kernel::new("loss", include_str!("kernel.cu"));

impl OnDevice for Difference<Square> {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&KERNEL, "square", [])
    }
}

impl OnDevice for Difference<Abs> {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&KERNEL, "absolute", [])
    }
}

impl OnDevice for Difference<Rounded> {
    fn call(&self) -> Call<'_> {
        let Rounded { width, height, .. } = self.0;
        Call::of_numbers(&KERNEL, "rounded", [width, height, height / width])
    }
}

impl OnDevice for BinaryCrossEntropy {
    fn call(&self) -> Call<'_> {
        Call::new(&KERNEL, "binary_cross_entropy", [&self.weight, &self.pos_weight].map(weights).into())
    }
}

impl OnDevice for KlDiv {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&KERNEL, "kl_div", [])
    }
}

impl OnDevice for KlDivOfLogs {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&KERNEL, "kl_div_of_logs", [])
    }
}

fn weights(weights: &Option<Weights>) -> Arg<'_> {
    match weights {
        Some(Weights::OnDevice(weights)) => Arg::In(weights.view()),
        Some(Weights::OnHost(_)) | None => Arg::Null,
    }
}
