//! Convolution by cuDNN: deterministic algorithms alone, chosen once a geometry (`plan.rs`).
//!
//! float32 multiplies as float32, unless candle's own switch for reduced precision, `set_gemm_reduced_precision_f32`, allows
//! TF32; half precision accumulates in float32.

mod plan;

use super::super::spec::ConvDims;
use crate::cuda::{Buffer, Gpu, View, pointer, pointer_mut};
use crate::{Error, Result};
use candle_core::cuda_backend::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::DevicePtrMut;
use candle_core::cuda_backend::{DeviceId, gemm_reduced_precision_f32};
use candle_core::{CudaDevice, DType};
use plan::Plan;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

/// Which of a convolution's three functions; each takes two arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    /// y from x and w.
    Forward,
    /// dx from dy and w.
    InputGrad,
    /// dw from x and dy.
    WeightGrad,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    device: DeviceId,
    dims: ConvDims,
    dtype: DType,
    pass: Pass,
    reduced: bool,
}

thread_local! {
    // Handles may not be shared between threads.
    static HANDLES: RefCell<HashMap<DeviceId, Rc<Handle>>> = RefCell::default();
    // `None` where cuDNN has no algorithm.
    static PLANS: RefCell<HashMap<Key, Option<Rc<Plan>>>> = RefCell::default();
}

/// Fills `out` with what `pass` makes of its two arguments; false where cuDNN has no deterministic way to.
pub(super) fn run(gpu: &Gpu, d: &ConvDims, pass: Pass, [a, b]: [View<'_>; 2], out: &mut Buffer) -> Result<bool> {
    let Some(device) = gpu.cuda_device() else { return Ok(false) };
    let Some(shapes) = Shapes::new(d) else { return Ok(false) };
    let fault = |error: CudnnError| Error::Cuda { op: "conv", reason: format!("cuDNN: {error}") };
    let handle = handle(device)?;
    let reduced = gemm_reduced_precision_f32();
    let key = Key { device: device.id(), dims: *d, dtype: gpu.scalar(), pass, reduced };
    let known = PLANS.with_borrow(|plans| plans.get(&key).cloned());
    let plan = match known {
        Some(plan) => plan,
        None => {
            let plan = Plan::new(&handle, &shapes, gpu.scalar(), pass, reduced).map_err(fault)?.map(Rc::new);
            PLANS.with_borrow_mut(|plans| plans.insert(key, plan.clone()));
            plan
        }
    };
    let Some(plan) = plan else { return Ok(false) };

    let stream = device.cuda_stream();
    // SAFETY: working space, which cuDNN alone writes and reads.
    let mut space = unsafe { device.alloc::<u8>(plan.space.max(1))? };
    let (space, _space_in_use) = space.device_ptr_mut(&stream);
    let foreign = |reason: &str| Error::Cuda { op: "conv", reason: reason.into() };
    let (a, _a_in_use) = pointer(a, &stream).map_err(foreign)?;
    let (b, _b_in_use) = pointer(b, &stream).map_err(foreign)?;
    let (out, _out_in_use) = pointer_mut(out.view_mut(), &stream).map_err(foreign)?;
    plan.launch(&handle, [a as *const c_void, b as *const c_void], out as *mut c_void, space as *mut c_void)
        .map_err(fault)?;
    Ok(true)
}

/// cuDNN, on a device's stream.
struct Handle(sys::cudnnHandle_t);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `handle`, and dropped once. Nothing is left to do where cuDNN refuses.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

fn handle(device: &CudaDevice) -> Result<Rc<Handle>> {
    if let Some(handle) = HANDLES.with_borrow(|handles| handles.get(&device.id()).cloned()) {
        return Ok(handle);
    }
    let fault = |reason: String| Error::Cuda { op: "conv", reason };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().map_err(|error| fault(error.to_string()))?;
    let handle = Handle(result::create_handle().map_err(|error| fault(format!("cuDNN does not start: {error}")))?);
    // SAFETY: the device, and so its stream, outlives what runs on it: each launch holds it.
    unsafe { result::set_stream(handle.0, stream.cu_stream().cast()) }
        .map_err(|error| fault(format!("cuDNN refuses the device's stream: {error}")))?;
    let handle = Rc::new(handle);
    HANDLES.with_borrow_mut(|handles| handles.insert(device.id(), handle.clone()));
    Ok(handle)
}

/// A convolution in cuDNN's terms: planes of two axes, or of three.
struct Shapes {
    x: Vec<c_int>,
    w: Vec<c_int>,
    y: Vec<c_int>,
    padding: Vec<c_int>,
    stride: Vec<c_int>,
    dilation: Vec<c_int>,
    groups: c_int,
}

impl Shapes {
    /// `None` where cuDNN has no words for it: padding of two sides, numbers beyond `int`, nothing to do.
    fn new(d: &ConvDims) -> Option<Self> {
        let span = |axis: usize| (d.kernel[axis] - 1) * d.dilation[axis] + 1;
        let output =
            |axis: usize| (d.input[axis] + 2 * d.padding[axis]).checked_sub(span(axis)).map(|l| l / d.stride[axis] + 1);
        if (0..3).any(|axis| output(axis) != Some(d.output[axis])) {
            return None;
        }
        let flat = d.input[0] == 1 && d.kernel[0] == 1 && d.padding[0] == 0;
        let axes = |extents: [usize; 3]| ints(&extents[usize::from(flat)..]);
        let shape = |outer: usize, channels: usize, extents: [usize; 3]| -> Option<Vec<c_int>> {
            let count = [outer, channels].iter().chain(&extents).product::<usize>();
            let fits = (1..=i32::MAX as usize).contains(&count);
            if fits { Some([ints(&[outer, channels])?, axes(extents)?].concat()) } else { None }
        };
        Some(Self {
            x: shape(d.n, d.c_in, d.input)?,
            w: shape(d.c_out, d.c_in_group(), d.kernel)?,
            y: shape(d.n, d.c_out, d.output)?,
            padding: axes(d.padding)?,
            stride: axes(d.stride)?,
            dilation: axes(d.dilation)?,
            groups: c_int::try_from(d.groups).ok()?,
        })
    }
}

fn ints(sizes: &[usize]) -> Option<Vec<c_int>> {
    sizes.iter().map(|&size| c_int::try_from(size).ok()).collect()
}
