#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::normalize_row(const float* x, const Norm& norm, int columns, float* y) const {
  kernels_.layer_norm(x, cpu(*norm.weight).row<float>(0), cpu(*norm.bias).row<float>(0), norm.epsilon, columns, y);
}

void CpuStream::normalize(const float* x, size_t x_stride, const Norm& norm, int rows, int columns, float* y,
                          size_t y_stride) {
  over_rows(rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) normalize_row(x + row * x_stride, norm, columns, y + row * y_stride);
  });
}

InputRows CpuStream::normalized(const Input& input, int rows, int columns) {
  const CpuBuffer& x = cpu(input.x);
  if (input.norm == nullptr) return {x.row<float>(0), x.stride()};
  const size_t stride = activation_stride(columns);
  float* y = normalized_.get<float>(rows * stride);
  normalize(x.row<float>(0), x.stride(), *input.norm, rows, columns, y, stride);
  return {y, stride};
}

Input CpuStream::do_run(const Normalize& op) {
  const CpuBuffer& x = cpu(op.x);
  const CpuBuffer& y = cpu(op.y);
  normalize(x.row<float>(0), x.stride(), op.norm, op.rows, op.columns, y.row<float>(0), y.stride());
  return {op.y};
}

}  // namespace magnets::cpu
