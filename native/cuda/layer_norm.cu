// LayerNorm of rows, mean and variance in f32. A row is read three times, from L1 but for the first.
#include "cuda_stream.h"
#include "rows.cuh"

namespace magnets::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kWarpsOfRows * 32)
    layer_norm_kernel(const T* x, int x_stride, const float* weight, const float* bias, float epsilon, int rows,
                      int width, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp(), lane = threadIdx.x % 32;
  if (row >= rows) return;
  x += static_cast<size_t>(row) * x_stride;
  y += static_cast<size_t>(row) * y_stride;

  float v[8], sum = 0.0f;
  for (int first = lane * 8; first < width; first += 256) {
    load8(x + first, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += first + i < width ? v[i] : 0.0f;
  }
  const float mean = sum_of_warp(sum) / static_cast<float>(width);
  float squares = 0.0f;
  for (int first = lane * 8; first < width; first += 256) {
    load8(x + first, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) squares += first + i < width ? (v[i] - mean) * (v[i] - mean) : 0.0f;
  }
  const float scale = rsqrtf(sum_of_warp(squares) / static_cast<float>(width) + epsilon);
  for (int first = lane * 8; first < width; first += 256) {
    load8(x + first, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (first + i < width) v[i] = (v[i] - mean) * scale * weight[first + i] + bias[first + i];
    }
    store8(y + first, v, width - first);
  }
}

}  // namespace

void CudaStream::layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) {
  if (rows == 0) return;
  with_element([&]<class T>(T) {
    launch(layer_norm_kernel<T>, grid_of(divide_up(rows, kWarpsOfRows)), kWarpsOfRows * 32, 0, cuda(x).as<T>(),
           cuda(x).stride(), cuda(*norm.weight).as<float>(), cuda(*norm.bias).as<float>(), norm.epsilon, rows, width,
           cuda(y).as<T>(), cuda(y).stride());
  });
}

}  // namespace magnets::cuda
