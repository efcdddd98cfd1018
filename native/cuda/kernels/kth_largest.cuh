// The k-th largest of a block's numbers, by their bits.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

/// Unsigned integers in the order of the floats; -0 equals 0.
__device__ __forceinline__ uint32_t order_of(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// The sum of all threads' values, for all. `sums` [warps] is shared memory that nobody else uses.
template <int kThreads>
__device__ __forceinline__ int sum_of_block(int value, int* sums) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  __syncthreads();  // the sums of the call before have been read
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  int sum = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) sum += sums[warp];
  return sum;
}

/// The largest t such that at least k of order(0) .. order(count - 1) are >= t, found bit by bit; order is cheap.
template <int kThreads, class Order>
__device__ __forceinline__ uint32_t kth_largest(int count, int k, const Order& order, int* sums) {
  uint32_t threshold = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t candidate = threshold | 1u << bit;
    int own = 0;
    for (int i = threadIdx.x; i < count; i += kThreads) own += order(i) >= candidate;
    if (sum_of_block<kThreads>(own, sums) >= k) threshold = candidate;
  }
  return threshold;
}

}  // namespace magnets::cuda
