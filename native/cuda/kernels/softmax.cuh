// The softmax of each row, a warp each, in three passes over it.
#pragma once

#include "rows.cuh"

namespace magnets::cuda {

template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    softmax_kernel(const float* x, int x_stride, int rows, int columns, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp(), lane = threadIdx.x % 32;
  if (row >= rows) return;
  x += static_cast<size_t>(row) * x_stride;
  y += static_cast<size_t>(row) * y_stride;

  float largest = -INFINITY;
  for (int i = lane; i < columns; i += 32) largest = fmaxf(largest, x[i]);
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));

  const auto power = [&](float value) { return exp2_approximate((value - largest) * 1.44269504f); };
  float sum = 0.0f;
  for (int i = lane; i < columns; i += 32) sum += power(x[i]);
  const float scale = 1.0f / sum_of_warp(sum);

  for (int first = lane * 8; first < columns; first += 32 * 8) {
    const int count = columns - first;
    float v[8];
    load8(x + first, count, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = power(v[i]) * scale;
    store8(y + first, v, count);
  }
}

}  // namespace magnets::cuda
