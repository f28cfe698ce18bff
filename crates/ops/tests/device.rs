//! Every test that runs kernels, in one program, for a machine with a CUDA device: `TAPER_TEST_DEVICE=cuda` names it.

#![allow(clippy::duplicate_mod, reason = "each test file has its own `mod support`")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

#[path = "activation.rs"]
mod activation;
#[path = "adaptive_pool.rs"]
mod adaptive_pool;
#[path = "avg_pool.rs"]
mod avg_pool;
#[path = "conv_golden.rs"]
mod conv_golden;
#[path = "conv_padding_mode.rs"]
mod conv_padding_mode;
#[path = "cross_entropy.rs"]
mod cross_entropy;
#[path = "cuda.rs"]
mod cuda;
#[path = "cuda_loss.rs"]
mod cuda_loss;
#[path = "cuda_norm.rs"]
mod cuda_norm;
#[path = "cuda_optim.rs"]
mod cuda_optim;
#[path = "cuda_pointwise.rs"]
mod cuda_pointwise;
#[path = "cuda_windows.rs"]
mod cuda_windows;
#[path = "drop_block.rs"]
mod drop_block;
#[path = "dropout_family.rs"]
mod dropout_family;
#[path = "fractional_pool.rs"]
mod fractional_pool;
#[path = "interpolate.rs"]
mod interpolate;
#[path = "linear.rs"]
mod linear;
#[path = "local_response_norm.rs"]
mod local_response_norm;
#[path = "loss.rs"]
mod loss;
#[path = "lp_pool.rs"]
mod lp_pool;
#[path = "max_pool.rs"]
mod max_pool;
#[path = "norm.rs"]
mod norm;
#[path = "pad.rs"]
mod pad;
#[path = "pool_ranks.rs"]
mod pool_ranks;
#[path = "rectified.rs"]
mod rectified;
#[path = "unfold.rs"]
mod unfold;
#[path = "unpool.rs"]
mod unpool;

/// What the other tests hold was computed there: they would pass without a device, on emulators.
#[test]
fn a_device_is_named() {
    assert!(std::env::var_os("TAPER_TEST_DEVICE").is_some_and(|name| name == "cuda"), "set TAPER_TEST_DEVICE=cuda");
}
