// Sums over a block, whose size is a multiple of 32.

// The sum of the threads' values, in every thread: over a tree in each warp, then over the warps in order.
__device__ inline real_t block_sum(real_t value) {
  __shared__ real_t sums[32];
  for (unsigned int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
  // Of a sum before this one, all have read.
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  real_t sum = 0;
  for (unsigned int warp = 0; warp < blockDim.x / 32; ++warp) sum += sums[warp];
  return sum;
}
