// LayerNorm of rows, a warp each.
#pragma once

#include "layer_norm.cuh"

namespace magnets::cuda {

/// y may be x.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    normalize_kernel(const T* x, int x_stride, NormArguments norm, int rows, int columns, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= rows) return;
  x += static_cast<size_t>(row) * x_stride;
  store_row([&](int first, float(&v)[8]) { load8(x + first, v); }, norm, columns,
            y + static_cast<size_t>(row) * y_stride);
}

}  // namespace magnets::cuda
