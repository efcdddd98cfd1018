// Norms of rows, a warp each.
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

struct ModulatedNormArguments {
  const void* x;
  int x_stride;
  const float *weight, *shift;  // [branches, columns]
  int weight_stride, shift_stride;
  float epsilon;
  NormKind kind;
  const int* row_index;  // [rows]: branch * positions + position
  int rows, positions, columns;
  void* y;
  int y_stride;
};

/// y may be x.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    modulated_norm_kernel(const __grid_constant__ ModulatedNormArguments m) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= m.rows) return;
  const size_t branch = m.row_index[row] / m.positions;
  const NormArguments norm{m.weight + branch * m.weight_stride, m.shift + branch * m.shift_stride, m.epsilon, m.kind};
  const T* x = static_cast<const T*>(m.x) + static_cast<size_t>(row) * m.x_stride;
  store_row([&](int first, float(&v)[8]) { load8(x + first, v); }, norm, m.columns,
            static_cast<T*>(m.y) + static_cast<size_t>(row) * m.y_stride);
}

}  // namespace magnets::cuda
