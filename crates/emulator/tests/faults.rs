//! A kernel that is wrong is found out.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "sums of small integers are exact")]

use candle_core::CpuStorage;
use taper_cuda_emulator::{Emulator, Order};
use taper_ops::emulation::{Argument, Count, Launch};

const ORDERS: [Order; 3] = [Order::LowestFirst, Order::HighestFirst, Order::Random(7)];

/// Runs `f`, which takes x, y and n, over as many threads or blocks as `work` says; gives y.
fn run(source: &str, x: &[f32], len: usize, work: Count, emulator: Emulator) -> Result<Vec<f32>, String> {
    let mut y = CpuStorage::F32(vec![f32::NAN; len]);
    let x = CpuStorage::F32(x.to_vec());
    let arguments = vec![
        Argument::Read { storage: &x, start: 0, len: x.as_slice::<f32>().unwrap().len() },
        Argument::Write { storage: &mut y, start: 0, len },
        Argument::Value(vec![len as u64], 4),
    ];
    let source = format!("\n{source}");
    emulator.launch(Launch { kernel: "fault", source, definitions: vec![], function: "f", work, arguments })?;
    Ok(y.as_slice::<f32>().unwrap().to_vec())
}

fn each(source: &str, len: usize) -> Vec<Result<Vec<f32>, String>> {
    let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
    let run = |order| run(source, &x, len, Count::Threads(len), Emulator { block: 8, grid: 2, order, wide: false });
    ORDERS.map(run).into()
}

const LOOP: &str =
    "for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += (int)(gridDim.x * blockDim.x))";

#[test]
fn a_right_kernel_runs() {
    let source = format!("KERNEL void f(const float *x, float *y, int n) {{ {LOOP} y[i] = 2 * x[i]; }}");
    for y in each(&source, 37) {
        assert_eq!(y.unwrap(), (0..37).map(|i| 2. * i as f32).collect::<Vec<_>>());
    }
}

#[test]
fn reading_or_writing_beyond_a_buffer_is_found() {
    let ends = ["y[i] = x[i + 1]", "y[i + 1] = x[i]"];
    let begins = ["y[i] = x[i - 1]", "y[i - 1] = x[i]"];
    for (body, found) in ends
        .iter()
        .map(|body| (body, [true, false, true]))
        .chain(begins.iter().map(|body| (body, [false, true, false])))
    {
        let source = format!("KERNEL void f(const float *x, float *y, int n) {{ {LOOP} {body}; }}");
        // A page holds 1024 numbers: these begin and end at its bounds.
        for (outcome, found) in each(&source, 1024).into_iter().zip(found) {
            let error = outcome.err().is_some_and(|error| error == "f leaves its buffers");
            assert!(error || !found, "{body}");
        }
    }
}

#[test]
fn writing_what_is_to_be_read_is_found() {
    let source =
        format!("KERNEL void f(const float *x, float *y, int n) {{ {LOOP} const_cast<float *>(x)[i] = y[i]; }}");
    assert!(each(&source, 5).iter().all(|outcome| outcome == &Err("f leaves its buffers".into())));
}

#[test]
fn undefined_arithmetic_is_found() {
    let source = format!(
        "KERNEL void f(const float *x, float *y, int n) {{ {LOOP} {{ int far = 2147483647 - i; y[i] = x[0] + (float)(far + n); }} }}"
    );
    assert!(each(&source, 5).iter().all(|outcome| outcome == &Err("f: its behaviour is undefined".into())));
}

#[test]
fn parameters_are_held_against_the_arguments() {
    let wrong =
        ["const double *x, float *y, int n", "const float *x, float *y, long long n", "float *x, float *y, int n"];
    let errors = ["argument 0", "argument 2", "argument 0"];
    for (parameters, error) in wrong.into_iter().zip(errors) {
        let source = format!("KERNEL void f({parameters}) {{ (void)x; (void)y; (void)n; }}");
        let error = format!("f does not take its {error} (counted from 0)");
        assert!(each(&source, 5).iter().all(|outcome| outcome == &Err(error.clone())), "{parameters}");
    }
    let source = "KERNEL void f(const float *x, float *y) { (void)x; (void)y; }";
    assert!(each(source, 5).iter().all(|outcome| outcome == &Err("f does not take 3 arguments".into())));
}

/// The sum of 64 numbers by a tree in shared memory, whose barriers are `barrier`.
fn tree(barrier: &str) -> Vec<Result<Vec<f32>, String>> {
    let source = format!(
        "KERNEL void f(const float *x, float *y, int n) {{\n\
         __shared__ float sums[64];\n\
         for (int item = (int)blockIdx.x; item < n; item += (int)gridDim.x) {{\n\
           __syncthreads();\n\
           sums[threadIdx.x] = x[(unsigned)item * 64 + threadIdx.x];\n\
           for (unsigned half = 32; half > 0; half /= 2) {{ {barrier}; if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half]; }}\n\
           if (threadIdx.x == 0) y[item] = sums[0];\n\
         }} }}"
    );
    let x: Vec<f32> = (0..5 * 64).map(|i| (i % 7) as f32).collect();
    let run = |order| run(&source, &x, 5, Count::Blocks(5), Emulator { block: 64, grid: 2, order, wide: false });
    ORDERS.map(run).into()
}

#[test]
fn a_missing_barrier_is_found_in_some_order() {
    let expected: Vec<f32> = (0..5).map(|item| (item * 64..(item + 1) * 64).map(|i| (i % 7) as f32).sum()).collect();
    assert!(tree("__syncthreads()").iter().all(|y| y.as_ref() == Ok(&expected)));
    assert!(tree("").iter().any(|y| y.as_ref() != Ok(&expected)));
}

#[test]
fn a_barrier_that_some_threads_miss_is_found() {
    let error = "f: some threads end while others wait at a barrier";
    let body = "if (threadIdx.x < 5) __syncthreads(); y[0] = x[0]; (void)n;";
    let source = format!("KERNEL void f(const float *x, float *y, int n) {{ {body} }}");
    assert!(each(&source, 5).iter().all(|outcome| outcome == &Err(error.into())));
}

#[test]
fn a_shuffle_that_some_lanes_miss_is_found() {
    let error = "f: some lanes of a warp wait for others that do not come";
    let body = "if (threadIdx.x < 5) y[0] = __shfl_xor_sync(0xffffffffu, x[0], 1u); (void)n;";
    let source = format!("KERNEL void f(const float *x, float *y, int n) {{ {body} }}");
    assert!(each(&source, 5).iter().all(|outcome| outcome == &Err(error.into())));
}

#[test]
fn lanes_exchange_what_they_hold() {
    let body = "float sum = x[threadIdx.x]; for (unsigned lanes = 16; lanes > 0; lanes /= 2) \
                sum += __shfl_xor_sync(0xffffffffu, sum, lanes); y[threadIdx.x] = sum; (void)n;";
    let source = format!("KERNEL void f(const float *x, float *y, int n) {{ {body} }}");
    let x: Vec<f32> = (0..64).map(|i| i as f32).collect();
    for order in ORDERS {
        let emulator = Emulator { block: 64, grid: 1, order, wide: false };
        let y = run(&source, &x, 64, Count::Blocks(1), emulator).unwrap();
        assert!(y[..32].iter().all(|&sum| sum == 496.) && y[32..].iter().all(|&sum| sum == 1520.), "{y:?}");
    }
}

#[test]
fn what_does_not_compile_says_why() {
    let error = each("KERNEL void f(const float *x) { nonsense; }", 5).remove(0).unwrap_err();
    assert!(error.starts_with("fault: does not compile as C++: ") && error.contains("nonsense"), "{error}");
}
