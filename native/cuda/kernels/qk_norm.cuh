// Queries and keys divided by their root mean square over all heads in use, where they lie: a warp for each.
#pragma once

#include "rows.cuh"

namespace magnets::cuda {

struct QkNormArguments {
  void* q;  // [rows, heads * head_stride]
  int q_stride;
  void* keys;            // [branches, cache_heads, positions, head_stride]
  const int* row_index;  // [rows]: branch * positions + position
  int rows, positions, heads, cache_heads;
  int head_dim, head_stride;  // between them zeros, which are not counted
  float epsilon;
};

/// Block (x, 0) normalizes queries, block (x, 1) keys. Eight elements are of one head.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32) qk_norm_kernel(const __grid_constant__ QkNormArguments a) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= a.rows) return;
  T* first_head = static_cast<T*>(a.q) + static_cast<size_t>(row) * a.q_stride;
  size_t between_heads = a.head_stride;
  if (blockIdx.y == 1) {
    const size_t branch = a.row_index[row] / a.positions, position = a.row_index[row] % a.positions;
    first_head = static_cast<T*>(a.keys) + (branch * a.cache_heads * a.positions + position) * a.head_stride;
    between_heads *= a.positions;
  }
  const int columns = a.heads * a.head_stride;
  // body(eight elements) for each eight of this lane.
  const auto each = [&](const auto& body) {
    for (int first = threadIdx.x % 32 * 8; first < columns; first += 256) {
      body(first_head + first / a.head_stride * between_heads + first % a.head_stride);
    }
  };

  float squares = 0.0f;
  each([&](const T* p) {
    float v[8];
    load8(p, v);
#pragma unroll
    for (float value : v) squares += value * value;
  });
  const float scale = rsqrtf(sum_of_warp(squares) / static_cast<float>(a.heads * a.head_dim) + a.epsilon);
  each([&](T* p) {
    float v[8];
    load8(p, v);
#pragma unroll
    for (float& value : v) value *= scale;
    store8(p, v, 8);
  });
}

}  // namespace magnets::cuda
