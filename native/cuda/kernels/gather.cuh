// Rows by their numbers, a warp each; normalized on the way where a norm follows.
#pragma once

#include "layer_norm.cuh"

namespace magnets::cuda {

template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    gather_kernel(const T* x, int x_stride, const int* index, int count, NormArguments norm, int columns, T* y,
                  int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= count) return;
  x += static_cast<size_t>(index[row]) * x_stride;
  store_row([&](int first, float(&v)[8]) { load8(x + first, v); }, norm, columns,
            y + static_cast<size_t>(row) * y_stride);
}

}  // namespace magnets::cuda
