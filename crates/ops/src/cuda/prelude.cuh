// Compiled in front of every kernel file, once for each element type that asks: one of SCALAR_F32, SCALAR_F64, SCALAR_F16 and
// SCALAR_BF16 is defined, and WIDE where a tensor has more elements than `int` can count.
//
// Kernels read and write `scalar_t` and compute with `real_t`: half precision is a way to store numbers, not to compute with
// them. The functions are integer and IEEE arithmetic in a fixed order, without contraction, so that results are the CPU's
// wherever its are.

#ifdef WIDE
typedef long long index_t;
#else
typedef int index_t;
#endif

#ifndef KERNEL
#define KERNEL extern "C" __global__
#endif

#if defined(SCALAR_F64)
typedef double scalar_t;
typedef double real_t;
#elif defined(SCALAR_F32)
typedef float scalar_t;
typedef float real_t;
#else
struct scalar_t {
  unsigned short bits;
};
typedef float real_t;
#endif

#ifndef EMULATED
__device__ inline float float_of_half(unsigned short half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}

__device__ inline unsigned short half_of_float(float value) {
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}
#endif

// `for` every index below `n`, each in one thread of the grid.
#define EACH(i, n)                                                                              \
  for (index_t i = (index_t)blockIdx.x * (index_t)blockDim.x + (index_t)threadIdx.x; i < (n); \
       i += (index_t)gridDim.x * (index_t)blockDim.x)

// `for` every item below `n`, each in one block of the grid.
#define EACH_BLOCK(i, n) for (index_t i = (index_t)blockIdx.x; i < (n); i += (index_t)gridDim.x)

__device__ inline float real_of(unsigned int bits) { return __int_as_float((int)bits); }

__device__ inline real_t infinity() { return (real_t)real_of(0x7f800000u); }

__device__ inline bool is_nan(real_t x) { return x != x; }

#if defined(SCALAR_F64) || defined(SCALAR_F32)
__device__ inline real_t load(const scalar_t *x, index_t i) { return x[i]; }

__device__ inline void store(scalar_t *y, index_t i, real_t value) { y[i] = value; }
#elif defined(SCALAR_F16)
__device__ inline real_t load(const scalar_t *x, index_t i) { return float_of_half(x[i].bits); }

// Rounds to the nearest, ties to even.
__device__ inline void store(scalar_t *y, index_t i, real_t value) { y[i].bits = half_of_float(value); }
#else
__device__ inline real_t load(const scalar_t *x, index_t i) { return real_of((unsigned int)x[i].bits << 16); }

// Rounds to the nearest, ties to even; a NaN stays one.
__device__ inline void store(scalar_t *y, index_t i, real_t value) {
  unsigned int bits = (unsigned int)__float_as_int(value);
  unsigned int rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  y[i].bits = (unsigned short)(is_nan(value) ? (bits >> 16) | 0x40u : rounded);
}
#endif
