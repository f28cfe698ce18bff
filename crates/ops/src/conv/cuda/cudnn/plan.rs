//! Descriptors, an algorithm and its working space: what cuDNN needs to know of one geometry.

use super::{Handle, Pass, Shapes};
use candle_core::DType;
use candle_core::cuda_backend::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda_backend::cudarc::cudnn::sys::{self, cudnnDataType_t as DataType, cudnnMathType_t as Math};
use std::ffi::{c_int, c_void};

/// Algorithms that ask for more working space are passed over.
const MOST_SPACE: usize = 1 << 30;

/// How many algorithms are asked for: more than there are.
const ALGORITHMS: usize = 16;

/// A convolution that is ready to run.
pub(super) struct Plan {
    x: TensorDescriptor,
    w: FilterDescriptor,
    y: TensorDescriptor,
    conv: ConvolutionDescriptor,
    algorithm: Algorithm,
    /// Bytes of working space.
    pub(super) space: usize,
    double: bool,
}

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    InputGrad(sys::cudnnConvolutionBwdDataAlgo_t),
    WeightGrad(sys::cudnnConvolutionBwdFilterAlgo_t),
}

impl Plan {
    /// `None` where no deterministic algorithm takes the geometry.
    pub(super) fn new(
        handle: &Handle,
        shapes: &Shapes,
        dtype: DType,
        pass: Pass,
        reduced: bool,
    ) -> Result<Option<Self>, CudnnError> {
        let (stored, computed) = match dtype {
            DType::F64 => (DataType::CUDNN_DATA_DOUBLE, DataType::CUDNN_DATA_DOUBLE),
            DType::F16 => (DataType::CUDNN_DATA_HALF, DataType::CUDNN_DATA_FLOAT),
            DType::BF16 => (DataType::CUDNN_DATA_BFLOAT16, DataType::CUDNN_DATA_FLOAT),
            _ => (DataType::CUDNN_DATA_FLOAT, DataType::CUDNN_DATA_FLOAT),
        };
        let math = match dtype {
            DType::F32 if !reduced => Math::CUDNN_FMA_MATH,
            _ => Math::CUDNN_DEFAULT_MATH,
        };
        let (x, y) = (TensorDescriptor::new(&shapes.x, stored)?, TensorDescriptor::new(&shapes.y, stored)?);
        let w = FilterDescriptor::new(&shapes.w, stored)?;
        let conv = ConvolutionDescriptor::new(shapes, computed, math)?;
        let found = choose(handle, pass, &x, &w, &y, &conv)?;
        let double = dtype == DType::F64;
        Ok(found.map(|(algorithm, space)| Self { x, w, y, conv, algorithm, space, double }))
    }

    /// Puts the convolution of `a` and `b` on the stream, to fill `out`.
    pub(super) fn launch(
        &self,
        handle: &Handle,
        [a, b]: [*const c_void; 2],
        out: *mut c_void,
        space: *mut c_void,
    ) -> Result<(), CudnnError> {
        let (one, zero, one_double, zero_double) = (1f32, 0f32, 1f64, 0f64);
        let single = (std::ptr::from_ref(&one).cast::<c_void>(), std::ptr::from_ref(&zero).cast::<c_void>());
        let double = (std::ptr::from_ref(&one_double).cast(), std::ptr::from_ref(&zero_double).cast());
        let (alpha, beta) = if self.double { double } else { single };
        let (x, w, y, conv) = (self.x.0, self.w.0, self.y.0, self.conv.0);
        // SAFETY: the descriptors live as long as this plan, and tell shape and type of what the pointers point to; the
        // caller holds that, and `space` bytes, until the work is on the stream.
        unsafe {
            match self.algorithm {
                Algorithm::Forward(by) => {
                    result::convolution_forward(handle.0, alpha, x, a, w, b, conv, by, space, self.space, beta, y, out)
                }
                Algorithm::InputGrad(by) => result::convolution_backward_data(
                    handle.0, alpha, w, b, y, a, conv, by, space, self.space, beta, x, out,
                ),
                Algorithm::WeightGrad(by) => result::convolution_backward_filter(
                    handle.0, alpha, x, a, y, b, conv, by, space, self.space, beta, w, out,
                ),
            }
        }
    }
}

/// The first algorithm, by cuDNN's own guess of the time it takes, that gives the same bits each time.
fn choose(
    handle: &Handle,
    pass: Pass,
    x: &TensorDescriptor,
    w: &FilterDescriptor,
    y: &TensorDescriptor,
    conv: &ConvolutionDescriptor,
) -> Result<Option<(Algorithm, usize)>, CudnnError> {
    let (asked, mut count) = (ALGORITHMS as c_int, 0);
    let serves = |status: sys::cudnnStatus_t, determinism: sys::cudnnDeterminism_t, memory: usize| {
        status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
            && determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
            && memory <= MOST_SPACE
    };
    // SAFETY: in each, the descriptors are alive, and `ALGORITHMS` structs of numbers, of which zeros are valid, may be written.
    unsafe {
        match pass {
            Pass::Forward => {
                let mut found: [sys::cudnnConvolutionFwdAlgoPerf_t; ALGORITHMS] = std::mem::zeroed();
                let at = found.as_mut_ptr();
                result::get_convolution_forward_algorithm(handle.0, x.0, w.0, conv.0, y.0, asked, &mut count, at)?;
                let found = found.iter().take(count as usize).find(|f| serves(f.status, f.determinism, f.memory));
                Ok(found.map(|found| (Algorithm::Forward(found.algo), found.memory)))
            }
            Pass::InputGrad => {
                let mut found: [sys::cudnnConvolutionBwdDataAlgoPerf_t; ALGORITHMS] = std::mem::zeroed();
                let at = found.as_mut_ptr();
                result::get_convolution_backward_data_algorithm(
                    handle.0, w.0, y.0, conv.0, x.0, asked, &mut count, at,
                )?;
                let found = found.iter().take(count as usize).find(|f| serves(f.status, f.determinism, f.memory));
                Ok(found.map(|found| (Algorithm::InputGrad(found.algo), found.memory)))
            }
            Pass::WeightGrad => {
                let mut found: [sys::cudnnConvolutionBwdFilterAlgoPerf_t; ALGORITHMS] = std::mem::zeroed();
                let at = found.as_mut_ptr();
                result::get_convolution_backward_filter_algorithm(
                    handle.0, x.0, y.0, conv.0, w.0, asked, &mut count, at,
                )?;
                let found = found.iter().take(count as usize).find(|f| serves(f.status, f.determinism, f.memory));
                Ok(found.map(|found| (Algorithm::WeightGrad(found.algo), found.memory)))
            }
        }
    }
}

/// The shape and the type of a tensor in row-major order.
struct TensorDescriptor(sys::cudnnTensorDescriptor_t);

impl TensorDescriptor {
    fn new(shape: &[c_int], dtype: DataType) -> Result<Self, CudnnError> {
        let tensor = Self(result::create_tensor_descriptor()?);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let rank = shape.len() as c_int;
        // SAFETY: the descriptor was just made, and both arrays have `rank` numbers.
        unsafe { result::set_tensornd_descriptor(tensor.0, dtype, rank, shape.as_ptr(), strides.as_ptr())? };
        Ok(tensor)
    }
}

impl Drop for TensorDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_tensor_descriptor(self.0) };
    }
}

/// The shape and the type of a weight.
struct FilterDescriptor(sys::cudnnFilterDescriptor_t);

impl FilterDescriptor {
    fn new(shape: &[c_int], dtype: DataType) -> Result<Self, CudnnError> {
        let filter = Self(result::create_filter_descriptor()?);
        let (rows, rank) = (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW, shape.len() as c_int);
        // SAFETY: the descriptor was just made, and the array has `rank` numbers.
        unsafe { result::set_filternd_descriptor(filter.0, dtype, rows, rank, shape.as_ptr())? };
        Ok(filter)
    }
}

impl Drop for FilterDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_filter_descriptor(self.0) };
    }
}

/// Padding, stride, dilation, groups, and how it is computed.
struct ConvolutionDescriptor(sys::cudnnConvolutionDescriptor_t);

impl ConvolutionDescriptor {
    fn new(shapes: &Shapes, computed: DataType, math: Math) -> Result<Self, CudnnError> {
        let conv = Self(result::create_convolution_descriptor()?);
        let Shapes { padding, stride, dilation, groups, .. } = shapes;
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let axes = padding.len() as c_int;
        let (padding, stride, dilation) = (padding.as_ptr(), stride.as_ptr(), dilation.as_ptr());
        // SAFETY: the descriptor was just made, and the arrays have `axes` numbers each.
        unsafe {
            result::set_convolutionnd_descriptor(conv.0, axes, padding, stride, dilation, mode, computed)?;
            result::set_convolution_group_count(conv.0, *groups)?;
            result::set_convolution_math_type(conv.0, math)?;
        }
        Ok(conv)
    }
}

impl Drop for ConvolutionDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        let _ = unsafe { result::destroy_convolution_descriptor(self.0) };
    }
}
