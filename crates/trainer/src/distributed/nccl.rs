//! What NCCL carries between CUDA devices.

use crate::{Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use candle_core::cuda_backend::cudarc::nccl::result::NcclError;
use candle_core::cuda_backend::cudarc::nccl::safe::{Comm, Id, NcclType, ReduceOp};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Device, Layout, Shape, Tensor};
use std::ffi::c_char;
use std::fmt;

/// Bytes of the name under which processes meet.
pub(super) const NAME: usize = 128;

/// A new name, for all processes to meet under.
pub(super) fn new_name() -> Result<[u8; NAME]> {
    let id = Id::new().map_err(|error| Error::Nccl(reason(&error)))?;
    Ok(id.internal().map(|byte| byte as u8))
}

/// This process's part in NCCL's communicator.
pub(super) struct Nccl {
    comm: Comm,
    /// Whether NCCL adds up, in an order of its own.
    pub(super) native_sums: bool,
}

impl Nccl {
    pub(super) fn new(device: &Device, rank: usize, world_size: usize, name: &[u8], native_sums: bool) -> Result<Self> {
        let Device::Cuda(device) = device else {
            let value = format!("{:?}", device.location());
            return Err(Error::Value { op: "ProcessGroup", argument: "device", expected: "a CUDA device", value });
        };
        let mut id = [0 as c_char; NAME];
        id.iter_mut().zip(name).for_each(|(to, byte)| *to = *byte as c_char);
        let comm = Comm::from_rank(device.cuda_stream(), rank, world_size, Id::uninit(id))
            .map_err(|error| Error::Nccl(reason(&error)))?;
        Ok(Self { comm, native_sums })
    }

    /// The tensors of all processes, by rank.
    pub(super) fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>> {
        let world_size = self.comm.world_size();
        let shape = Shape::from([&[world_size], tensor.dims()].concat());
        let all = tensor.copy()?.apply_op1_no_bwd(&Collective { comm: &self.comm, shape, sums: false })?;
        (0..world_size).map(|rank| Ok(all.get(rank)?)).collect()
    }

    /// Their sum, in NCCL's order.
    pub(super) fn all_reduce(&self, tensor: &Tensor) -> Result<Tensor> {
        let shape = tensor.shape().clone();
        Ok(tensor.copy()?.apply_op1_no_bwd(&Collective { comm: &self.comm, shape, sums: true })?)
    }
}

impl fmt::Debug for Nccl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nccl").field("native_sums", &self.native_sums).finish_non_exhaustive()
    }
}

/// What a tensor that is the whole of its storage becomes among all processes: of `shape`.
struct Collective<'a> {
    comm: &'a Comm,
    shape: Shape,
    sums: bool,
}

impl Collective<'_> {
    fn run<T: CudaDType + DeviceRepr + NcclType + ValidAsZeroBits>(
        &self,
        input: &CudaStorage,
    ) -> candle_core::Result<CudaStorage> {
        let (device, input) = (input.device(), input.as_cuda_slice::<T>()?);
        let mut output = device.alloc_zeros::<T>(self.shape.elem_count())?;
        let done = match self.sums {
            true => self.comm.all_reduce(input, &mut output, &ReduceOp::Sum),
            false => self.comm.all_gather(input, &mut output),
        };
        done.map_err(|error| candle_core::Error::Msg(reason(&error)))?;
        Ok(CudaStorage::wrap_cuda_slice(output, device.clone()))
    }
}

impl CustomOp1 for Collective<'_> {
    fn name(&self) -> &'static str {
        if self.sums { "all_reduce" } else { "all_gather" }
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Err(candle_core::Error::Msg(format!("{}: NCCL carries no tensor of the CPU", self.name())))
    }

    fn cuda_fwd(&self, input: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let output = match input.dtype() {
            DType::F64 => self.run::<f64>(input)?,
            _ => self.run::<f32>(input)?,
        };
        Ok((output, self.shape.clone()))
    }
}

fn reason(error: &NcclError) -> String {
    format!("NCCL fails: {:?}", error.0)
}
