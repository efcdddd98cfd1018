// Rows by their numbers: the head's, out of all that were computed; normalized on the way where a norm follows.
#include "cuda_stream.h"
#include "rows.cuh"

namespace magnets::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kWarpsOfRows * 32)
    gather_kernel(const T* x, int x_stride, const int* index, int count, RowNorm norm, int width, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= count) return;
  x += static_cast<size_t>(index[row]) * x_stride;
  write_row([&](int first, float(&v)[8]) { load8(x + first, v); }, norm, width,
            y + static_cast<size_t>(row) * y_stride);
}

}  // namespace

void CudaStream::gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) {
  if (count == 0) return;
  with_element([&]<class T>(T) {
    launch(gather_kernel<T>, grid_of(divide_up(count, kWarpsOfRows)), kWarpsOfRows * 32, 0, cuda(x).as<T>(),
           cuda(x).stride(), cuda(index).as<int>(), count, on_device(norm), width, cuda(y).as<T>(), cuda(y).stride());
  });
}

}  // namespace magnets::cuda
