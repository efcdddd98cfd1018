// Rows of activations, a warp each: eight elements at once, what is left at the end one by one.
#pragma once

#include <ptx.cuh>

#include "../backend.h"

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

/// A norm's weights on the device; weight null: no norm.
struct RowNorm {
  const float *weight, *bias;
  float epsilon;
};

RowNorm on_device(const Norm* norm);

/// y = load(first, v) for eight columns at once, normalized where there is a norm: mean and variance in f32. The row is
/// loaded three times then, from L1 but for the first.
template <class T, class Load>
__device__ __forceinline__ void write_row(const Load& load, const RowNorm& norm, int width, T* y) {
  const int lane = threadIdx.x % 32;
  float v[8], mean = 0.0f, scale = 1.0f;
  if (norm.weight != nullptr) {
    float sum = 0.0f, squares = 0.0f;
    for (int first = lane * 8; first < width; first += 256) {
      load(first, v);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += first + i < width ? v[i] : 0.0f;
    }
    mean = sum_of_warp(sum) / static_cast<float>(width);
    for (int first = lane * 8; first < width; first += 256) {
      load(first, v);
#pragma unroll
      for (int i = 0; i < 8; ++i) squares += first + i < width ? (v[i] - mean) * (v[i] - mean) : 0.0f;
    }
    scale = rsqrtf(sum_of_warp(squares) / static_cast<float>(width) + norm.epsilon);
  }
  for (int first = lane * 8; first < width; first += 256) {
    load(first, v);
    if (norm.weight != nullptr) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (first + i < width) v[i] = (v[i] - mean) * scale * norm.weight[first + i] + norm.bias[first + i];
      }
    }
    store8(y + first, v, width - first);
  }
}

}  // namespace magnets::cuda
