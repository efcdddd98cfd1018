// Rows of activations, a warp each: eight elements at once, what is left at the end one by one.
#pragma once

#include <ptx.cuh>

namespace magnets::cuda {

constexpr int kRowsOfBlock = 4;

__device__ __forceinline__ int row_of_warp() { return blockIdx.x * kRowsOfBlock + threadIdx.x / 32; }

/// v = p[0 .. 8); p lies at a multiple of 16 bytes.
template <class T>
__device__ __forceinline__ void load8(const T* p, float (&v)[8]) {
  const uint4 pairs = *reinterpret_cast<const uint4*>(p);
  v[0] = low<T>(pairs.x), v[1] = high<T>(pairs.x), v[2] = low<T>(pairs.y), v[3] = high<T>(pairs.y);
  v[4] = low<T>(pairs.z), v[5] = high<T>(pairs.z), v[6] = low<T>(pairs.w), v[7] = high<T>(pairs.w);
}

/// v = p[0 .. count) and zeros, count <= 8; p lies at a multiple of 16 bytes.
__device__ __forceinline__ void load8(const float* p, int count, float (&v)[8]) {
  if (count >= 8) {
    const float4 low = *reinterpret_cast<const float4*>(p), high = *reinterpret_cast<const float4*>(p + 4);
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = i < count ? p[i] : 0.0f;
}

/// Likewise where p lies at any multiple of 4 bytes.
__device__ __forceinline__ void load8_anywhere(const float* p, int count, float (&v)[8]) {
  if (reinterpret_cast<uintptr_t>(p) % 16 == 0) return load8(p, count, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = i < count ? p[i] : 0.0f;
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

/// Of all lanes, for each of them.
template <class Number>
__device__ __forceinline__ Number sum_of_warp(Number value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

}  // namespace magnets::cuda
