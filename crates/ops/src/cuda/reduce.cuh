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

// The sum of `term(i)` for every i below `n`, in every thread: each of 256 lanes adds every 256th term in order, a tree adds them.
// The bits do not depend on the block's size. `T` has 0 for a default and can be added to.
template <class T, class Term>
__device__ inline T lane_sum(index_t n, Term term) {
  const unsigned int lanes = 256;
  __shared__ T sums[lanes];
  // Of a sum before this one, all have read.
  __syncthreads();
  for (unsigned int lane = threadIdx.x; lane < lanes; lane += blockDim.x) {
    T sum = T();
    for (index_t i = (index_t)lane; i < n; i += (index_t)lanes) sum += term(i);
    sums[lane] = sum;
  }
  for (unsigned int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    for (unsigned int lane = threadIdx.x; lane < half; lane += blockDim.x) sums[lane] += sums[lane + half];
  }
  __syncthreads();
  return sums[0];
}
