//! The kernels of the activations.

use super::cpu::gates::{Gated, Glu};
use super::cpu::piecewise::{Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyRelu, Relu, Softshrink, Threshold};
use super::cpu::smooth::{Elu, Logsigmoid, Sigmoid, Softplus, Softsign, Tanh, Tanhshrink};
use crate::cuda::Kernel;
use crate::elementwise::{Call, OnDevice};

static PIECEWISE: Kernel = Kernel::new("piecewise", include_str!("piecewise.cu"));
static SMOOTH: Kernel = Kernel::new("smooth", include_str!("smooth.cu"));
static GATES: Kernel = Kernel::new("gates", include_str!("gates.cu"));

impl OnDevice for Relu {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "relu", [])
    }
}

impl OnDevice for LeakyRelu {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "leaky_relu", [self.negative_slope])
    }
}

impl OnDevice for Threshold {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "threshold", [self.threshold, self.value])
    }
}

impl OnDevice for Hardtanh {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "hardtanh", [self.min, self.max])
    }
}

impl OnDevice for Hardsigmoid {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "hardsigmoid", [])
    }
}

impl OnDevice for Hardswish {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "hardswish", [])
    }
}

impl OnDevice for Hardshrink {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "hardshrink", [self.lambda])
    }
}

impl OnDevice for Softshrink {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&PIECEWISE, "softshrink", [self.lambda])
    }
}

impl OnDevice for Sigmoid {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "sigmoid", [])
    }
}

impl OnDevice for Tanh {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "hyperbolic_tangent", [])
    }
}

impl OnDevice for Tanhshrink {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "tanhshrink", [])
    }
}

impl OnDevice for Softsign {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "softsign", [])
    }
}

impl OnDevice for Softplus {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "softplus", [self.beta, self.threshold])
    }
}

impl OnDevice for Logsigmoid {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&SMOOTH, "logsigmoid", [])
    }
}

impl OnDevice for Elu {
    fn call(&self) -> Call<'_> {
        let slope = self.left * self.rate;
        Call::of_numbers(&SMOOTH, "elu", [self.right, self.left, self.rate, slope, slope * self.rate])
    }
}

/// Its kernel has the operator's name.
impl<G> OnDevice for Gated<G> {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&GATES, self.name, [])
    }
}

impl OnDevice for Glu {
    fn call(&self) -> Call<'_> {
        Call::of_numbers(&GATES, "glu", [])
    }
}
