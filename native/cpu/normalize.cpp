#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::normalize_row(const float* x, const Norm& norm, int columns, float* y) const {
  const float* bias = norm.bias != nullptr ? cpu(*norm.bias).row<float>(0) : nullptr;
  const auto normalize = norm.kind == NormKind::rms_norm ? kernels_.rms_norm : kernels_.layer_norm;
  normalize(x, cpu(*norm.weight).row<float>(0), bias, norm.epsilon, columns, y);
}

void CpuStream::normalize(const float* x, size_t x_stride, const Norm& norm, int rows, int columns, float* y,
                          size_t y_stride) {
  const WorkScope scope(profile_, Work::norms);  // of a product that wants its input under one
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

void CpuStream::do_run(const ModulatedNorm& op) {
  const int32_t* index = cpu(op.rows.index).row<int32_t>(0);
  const auto normalize = op.kind == NormKind::rms_norm ? kernels_.rms_norm : kernels_.layer_norm;
  over_rows(op.rows.count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      const int branch = index[row] / op.rows.positions;
      normalize(cpu(op.x).row<float>(row), cpu(op.weight.values).row<float>(branch) + op.weight.first,
                cpu(op.shift.values).row<float>(branch) + op.shift.first, op.epsilon, op.columns,
                cpu(op.y).row<float>(row));
    }
  });
}

}  // namespace magnets::cpu
