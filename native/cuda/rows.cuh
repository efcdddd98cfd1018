// Rows of activations, a warp each: eight elements at once, what is left at the end one by one.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

constexpr int kWarpsOfRows = 4;  // rows of a block

__device__ __forceinline__ int row_of_warp() { return blockIdx.x * kWarpsOfRows + threadIdx.x / 32; }

/// v = p[0 .. 8); p lies at a multiple of 16 bytes.
template <class T>
__device__ __forceinline__ void load8(const T* p, float (&v)[8]) {
  const uint4 words = *reinterpret_cast<const uint4*>(p);
  v[0] = low<T>(words.x), v[1] = high<T>(words.x), v[2] = low<T>(words.y), v[3] = high<T>(words.y);
  v[4] = low<T>(words.z), v[5] = high<T>(words.z), v[6] = low<T>(words.w), v[7] = high<T>(words.w);
}

/// p[0 .. count) = v, count <= 8.
template <class T>
__device__ __forceinline__ void store8(T* p, const float (&v)[8], int count) {
  if (count >= 8) {
    *reinterpret_cast<uint4*>(p) =
        uint4{pack<T>(v[0], v[1]), pack<T>(v[2], v[3]), pack<T>(v[4], v[5]), pack<T>(v[6], v[7])};
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (i < count) p[i].bits = static_cast<uint16_t>(pack<T>(v[i], 0.0f));
  }
}

__device__ __forceinline__ float sum_of_warp(float value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

}  // namespace magnets::cuda
