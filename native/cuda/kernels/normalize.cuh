// LayerNorm of rows.
#include "cuda_stream.h"
#include "rows.cuh"

namespace magnets::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kWarpsOfRows * 32)
    layer_norm_kernel(const T* x, int x_stride, RowNorm norm, int rows, int width, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= rows) return;
  x += static_cast<size_t>(row) * x_stride;
  write_row([&](int first, float(&v)[8]) { load8(x + first, v); }, norm, width,
            y + static_cast<size_t>(row) * y_stride);
}

}  // namespace

RowNorm on_device(const Norm* norm) {
  if (norm == nullptr) return {};
  return {cuda(*norm->weight).as<float>(), cuda(*norm->bias).as<float>(), norm->epsilon};
}

void CudaStream::layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) {
  if (rows == 0) return;
  with_element([&]<class T>(T) {
    launch(layer_norm_kernel<T>, grid_of(divide_up(rows, kWarpsOfRows)), kWarpsOfRows * 32, 0, cuda(x).as<T>(),
           cuda(x).stride(), on_device(&norm), rows, width, cuda(y).as<T>(), cuda(y).stride());
  });
}

}  // namespace magnets::cuda
