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

}  // namespace magnets::cuda
