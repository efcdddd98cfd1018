// The largest of each row, a warp each.
#pragma once

#include "rows.cuh"

namespace magnets::cuda {

static __global__ void __launch_bounds__(kRowsOfBlock * 32)
    arg_max_kernel(const float* x, int stride, int rows, int columns, int* index) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp(), lane = threadIdx.x % 32;
  if (row >= rows) return;
  x += static_cast<size_t>(row) * stride;
  float best = -INFINITY;
  int at = 0;
  for (int i = lane; i < columns; i += 32) {
    if (x[i] > best) best = x[i], at = i;
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const float other = __shfl_xor_sync(~0u, best, lanes);
    const int other_at = __shfl_xor_sync(~0u, at, lanes);
    if (other > best || (other == best && other_at < at)) best = other, at = other_at;
  }
  if (lane == 0) index[row] = at;
}

}  // namespace magnets::cuda
