//! Between an operator and candle: what an [`Operator`] is, and how candle knows one of one, two or three arguments on a
//! device, or one that nothing differentiates. Those on the CPU that something does, [`record`] hands to candle.

use crate::cuda::{self, Buffer, Gpu, View};
use crate::graph::record;
use crate::storage::{self, Element};
use crate::{Error, Result};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor};

/// The gradients of an operator's `N` inputs.
pub(crate) type Grads<const N: usize> = candle_core::Result<[Option<Tensor>; N]>;

/// A differentiable function of `N` tensors of one element type.
pub(crate) trait Operator<const N: usize>: Send + Sync + 'static {
    /// The operator's name, for error messages.
    fn name(&self) -> &'static str;

    /// The shape of the output.
    fn shape(&self) -> Shape;

    /// The output in row-major order, from row-major inputs.
    fn run<T: Element>(&self, inputs: [&[T]; N]) -> Result<Vec<T>>;

    /// The output on a CUDA device, in row-major order, from row-major inputs.
    fn cuda(&self, _gpu: &Gpu, _inputs: [View<'_>; N]) -> Result<Buffer> {
        Err(Error::NoCudaKernel { op: self.name() })
    }

    /// The gradients of the inputs, from that of the output: `None` only for an input that is not tracked.
    fn backward(&self, inputs: [&Tensor; N], output: &Tensor, grad: &Tensor) -> Grads<N>;
}

/// An operator's value, which candle's graph records where an input is tracked.
pub(crate) trait Apply<const N: usize> {
    fn apply(self, inputs: [&Tensor; N]) -> candle_core::Result<Tensor>;
}

impl<O: Operator<1>> Apply<1> for O {
    fn apply(self, inputs: [&Tensor; 1]) -> candle_core::Result<Tensor> {
        record(self, inputs).unwrap_or_else(|operator| inputs[0].apply_op1(Custom(operator)))
    }
}

impl<O: Operator<2>> Apply<2> for O {
    fn apply(self, inputs: [&Tensor; 2]) -> candle_core::Result<Tensor> {
        record(self, inputs).unwrap_or_else(|operator| inputs[0].apply_op2(inputs[1], Custom(operator)))
    }
}

impl<O: Operator<3>> Apply<3> for O {
    fn apply(self, inputs: [&Tensor; 3]) -> candle_core::Result<Tensor> {
        record(self, inputs).unwrap_or_else(|operator| inputs[0].apply_op3(inputs[1], inputs[2], Custom(operator)))
    }
}

/// An operator as candle knows it, where [`record`] does not take it.
struct Custom<O>(O);

type Output = candle_core::Result<(CpuStorage, Shape)>;
type CudaOutput = candle_core::Result<(CudaStorage, Shape)>;
type Grads2 = candle_core::Result<(Option<Tensor>, Option<Tensor>)>;
type Grads3 = candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)>;

impl<O: Operator<1>> CustomOp1 for Custom<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, a_layout: &Layout) -> Output {
        storage::run(&self.0, [(a, a_layout)])
    }

    fn cuda_fwd(&self, a: &CudaStorage, a_layout: &Layout) -> CudaOutput {
        cuda::run(&self.0, [(a, a_layout)])
    }

    fn bwd(&self, a: &Tensor, output: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.0.backward([a], output, grad).map(|[da]| da)
    }
}

impl<O: Operator<2>> CustomOp2 for Custom<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, a: &CpuStorage, a_layout: &Layout, b: &CpuStorage, b_layout: &Layout) -> Output {
        storage::run(&self.0, [(a, a_layout), (b, b_layout)])
    }

    fn cuda_fwd(&self, a: &CudaStorage, a_layout: &Layout, b: &CudaStorage, b_layout: &Layout) -> CudaOutput {
        cuda::run(&self.0, [(a, a_layout), (b, b_layout)])
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, output: &Tensor, grad: &Tensor) -> Grads2 {
        self.0.backward([a, b], output, grad).map(Into::into)
    }
}

impl<O: Operator<3>> CustomOp3 for Custom<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
        c: &CpuStorage,
        c_layout: &Layout,
    ) -> Output {
        storage::run(&self.0, [(a, a_layout), (b, b_layout), (c, c_layout)])
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
        c: &CudaStorage,
        c_layout: &Layout,
    ) -> CudaOutput {
        cuda::run(&self.0, [(a, a_layout), (b, b_layout), (c, c_layout)])
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, c: &Tensor, output: &Tensor, grad: &Tensor) -> Grads3 {
        self.0.backward([a, b, c], output, grad).map(Into::into)
    }
}

#[cfg(all(test, feature = "emulate"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use std::rc::Rc;

    struct Identity;

    impl Operator<1> for Identity {
        fn name(&self) -> &'static str {
            "identity"
        }

        fn shape(&self) -> Shape {
            Shape::from(2)
        }

        fn run<T: Element>(&self, [x]: [&[T]; 1]) -> Result<Vec<T>> {
            Ok(x.to_vec())
        }

        fn backward(&self, _: [&Tensor; 1], _: &Tensor, dy: &Tensor) -> Grads<1> {
            Ok([Some(dy.clone())])
        }
    }

    /// What has no kernel says so, and is not computed elsewhere.
    #[test]
    fn without_a_kernel_there_is_an_error() {
        let x = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        assert!(Identity.apply([&x]).is_ok());
        let outcome = crate::emulation::emulated(Rc::new(|_| Ok(())), false, || Identity.apply([&x]));
        let error = Error::from(outcome.unwrap_err());
        assert!(matches!(error, Error::NoCudaKernel { op: "identity" }), "{error}");
        assert_eq!(
            error.to_string(),
            "identity: has no CUDA kernel; move its tensors to the CPU with `to_device(&Device::Cpu)`"
        );
    }
}
