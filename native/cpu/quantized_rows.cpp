#include "quantized_rows.h"

#include <algorithm>

namespace magnets::cpu {

namespace {

constexpr int kRowsAtOnce = 16;

/// Whole cache lines, an odd number of them: the rows of a tile fall into different cache sets.
size_t stride_of(int columns, int input_size) {
  const size_t inputs = (static_cast<size_t>(columns) + kInputGroup - 1) / kInputGroup * kInputGroup;
  return (inputs * input_size + kAlignment - 1) / kAlignment * kAlignment | kAlignment;
}

}  // namespace

QuantizedRows quantize_rows(const Int8Kernels& kernels, ThreadPool& pool, const float* x, size_t x_stride, int rows,
                            int columns, Scratch& scratch) {
  const size_t stride = stride_of(columns, kernels.input_size);
  char* const q = scratch.get<char>(rows * (stride + sizeof(float) + sizeof(int32_t)));
  auto* const scales = reinterpret_cast<float*>(q + rows * stride);
  auto* const sums = reinterpret_cast<int32_t*>(scales + rows);
  pool.run((rows + kRowsAtOnce - 1) / kRowsAtOnce, [&](int task, int) {
    const int last = std::min(rows, (task + 1) * kRowsAtOnce);
    for (int row = task * kRowsAtOnce; row < last; ++row) {
      const Int8Row quantized = kernels.quantize(x + row * x_stride, columns, q + row * stride);
      scales[row] = quantized.scale;
      sums[row] = quantized.sum;
    }
  });
  return {q, stride, scales, sums};
}

}  // namespace magnets::cpu
