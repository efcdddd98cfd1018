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

/// So many times 256 columns of a row that is normalized stay in registers: size XL has 1152.
constexpr int kKept = 5;

/// y = load(first, v) for eight columns at once, normalized where there is a norm: mean and variance in f32.
template <class T, class Load>
__device__ __forceinline__ void write_row(const Load& load, const RowNorm& norm, int width, T* y) {
  const int lane = threadIdx.x % 32;
  if (norm.weight == nullptr) {
    for (int first = lane * 8; first < width; first += 256) {
      float v[8];
      load(first, v);
      store8(y + first, v, width - first);
    }
    return;
  }

  const auto load_zeros_after = [&](int first, float(&v)[8]) {
    load(first, v);
    if (width - first >= 8) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = first + i < width ? v[i] : 0.0f;
  };
  float kept[kKept][8];
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int first = i * 256 + lane * 8;
    if (first < width) load_zeros_after(first, kept[i]);
  }
  // body(first, v) for each eight columns of this lane; those that are not kept are loaded again.
  const auto each = [&](const auto& body) {
#pragma unroll
    for (int i = 0; i < kKept; ++i) {
      const int first = i * 256 + lane * 8;
      if (first < width) body(first, kept[i]);
    }
    for (int first = kKept * 256 + lane * 8; first < width; first += 256) {
      float v[8];
      load_zeros_after(first, v);
      body(first, v);
    }
  };

  float sum = 0.0f, squares = 0.0f;
  each([&](int, float(&v)[8]) {
#pragma unroll
    for (float value : v) sum += value;
  });
  const float mean = sum_of_warp(sum) / static_cast<float>(width);
  each([&](int, float(&v)[8]) {
#pragma unroll
    for (float value : v) squares += (value - mean) * (value - mean);
  });
  // Each zero after the last column has added mean².
  const float beyond = static_cast<float>((width + 7) / 8 * 8 - width) * mean * mean;
  const float all_squares = fmaxf(sum_of_warp(squares) - beyond, 0.0f);
  const float scale = rsqrtf(all_squares / static_cast<float>(width) + norm.epsilon);
  each([&](int first, float(&v)[8]) {
    float weight[8], bias[8];
    load8(norm.weight + first, width - first, weight);
    load8(norm.bias + first, width - first, bias);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = (v[i] - mean) * scale * weight[i] + bias[i];
    store8(y + first, v, width - first);
  });
}

}  // namespace magnets::cuda
