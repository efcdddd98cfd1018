// A norm of a row by the warp that has it, on the row's way to memory.
#pragma once

#include "../norm.h"
#include "rows.cuh"

namespace magnets::cuda {

/// So many times 256 columns of a row that is normalized stay in registers: size XL has 1152.
constexpr int kKept = 5;

/// y = load(first, v) for eight columns at once, normalized where there is a norm: mean and variance in f32.
template <class T, class Load>
__device__ __forceinline__ void store_row(const Load& load, const NormArguments& norm, int columns, T* y) {
  const int lane = threadIdx.x % 32;
  if (norm.weight == nullptr) {
    for (int first = lane * 8; first < columns; first += 256) {
      float v[8];
      load(first, v);
      store8(y + first, v, columns - first);
    }
    return;
  }

  const auto load_zeros_after = [&](int first, float(&v)[8]) {
    load(first, v);
    if (columns - first >= 8) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = first + i < columns ? v[i] : 0.0f;
  };
  float kept[kKept][8];  // [turn][8 columns]: from column turn * 256 + lane * 8 of the row on
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int first = i * 256 + lane * 8;
    if (first < columns) load_zeros_after(first, kept[i]);
  }
  // body(first, v) for each eight columns of this lane; those that are not kept are loaded again.
  const auto each = [&](const auto& body) {
#pragma unroll
    for (int i = 0; i < kKept; ++i) {
      const int first = i * 256 + lane * 8;
      if (first < columns) body(first, kept[i]);
    }
    for (int first = kKept * 256 + lane * 8; first < columns; first += 256) {
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
  const float mean = norm.kind == NormKind::layer_norm ? sum_of_warp(sum) / static_cast<float>(columns) : 0.0f;
  each([&](int, float(&v)[8]) {
#pragma unroll
    for (float value : v) squares += (value - mean) * (value - mean);
  });
  // Each zero after the last column has added mean².
  const float beyond = static_cast<float>((columns + 7) / 8 * 8 - columns) * mean * mean;
  const float all_squares = fmaxf(sum_of_warp(squares) - beyond, 0.0f);
  const float scale = rsqrtf(all_squares / static_cast<float>(columns) + norm.epsilon);
  each([&](int first, float(&v)[8]) {
    float weight[8], bias[8] = {};
    load8_anywhere(norm.weight + first, columns - first, weight);
    if (norm.bias != nullptr) load8_anywhere(norm.bias + first, columns - first, bias);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = (v[i] - mean) * scale * weight[i] + bias[i];
    store8(y + first, v, columns - first);
  });
}

}  // namespace magnets::cuda
