#include "../cuda_stream.h"
#include "../kernels/normalize.cuh"
#include "norm_arguments.h"

namespace magnets::cuda {

void CudaStream::normalize(RowsView x, const Norm& norm, int rows, int columns, RowsView y) {
  if (rows == 0) return;
  with_compute_type([&]<class T>(T) {
    launch(normalize_kernel<T>, grid_of(divide_up(rows, kRowsOfBlock)), kRowsOfBlock * 32, 0,
           static_cast<const T*>(x.first), x.stride, norm_arguments(norm), rows, columns,
           static_cast<T*>(const_cast<void*>(y.first)), y.stride);
  });
}

RowsView CudaStream::normalized(const Input& input, int rows, int columns) {
  const RowsView x = rows_of(input.x);
  if (input.norm == nullptr) return x;
  const size_t row_bytes = round_up(columns * sizeof(uint16_t), kRowAlignment);
  const RowsView y{scratch(rows * row_bytes), static_cast<int>(row_bytes / sizeof(uint16_t))};
  normalize(x, *input.norm, rows, columns, y);
  return y;
}

Input CudaStream::do_run(const Normalize& op) {
  normalize(rows_of(op.x), op.norm, op.rows, op.columns, rows_of(op.y));
  return {op.y};
}

void CudaStream::do_run(const ModulatedNorm& op) {
  if (op.rows.count == 0) return;
  const ModulatedNormArguments arguments{
      .x = cuda(op.x).as<void>(),
      .x_stride = cuda(op.x).stride(),
      .weight = cuda(op.weight.values).as<float>() + op.weight.first,
      .shift = cuda(op.shift.values).as<float>() + op.shift.first,
      .weight_stride = cuda(op.weight.values).stride(),
      .shift_stride = cuda(op.shift.values).stride(),
      .epsilon = op.epsilon,
      .kind = op.kind,
      .row_index = cuda(op.rows.index).as<int>(),
      .rows = op.rows.count,
      .positions = op.rows.positions,
      .columns = op.columns,
      .y = cuda(op.y).as<void>(),
      .y_stride = cuda(op.y).stride(),
  };
  with_compute_type([&]<class T>(T) {
    launch(modulated_norm_kernel<T>, grid_of(divide_up(op.rows.count, kRowsOfBlock)), kRowsOfBlock * 32, 0, arguments);
  });
}

}  // namespace magnets::cuda
