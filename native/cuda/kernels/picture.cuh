// Pictures on their way through a codec: rescaled, pooled, and laid out for a convolution, which is a product whose
// inputs are several rows of x (MatmulProblem::taps).
#pragma once

#include "../silu.cuh"
#include "rows.cuh"

namespace magnets::cuda {

/// Pictures as rows, and what GroupStatistics made of them.
struct Pictures {
  const void* x;
  int x_stride;
  int samples, height, width, channels;
  const float* scale_shift;  // null: as they are
  int scale_shift_stride;
};

/// Eight channels of a pixel from `first` on, as a convolution reads them.
template <class T>
__device__ __forceinline__ void load_pixel(const Pictures& p, int sample, int line, int column, int first,
                                           float (&v)[8]) {
  const size_t row = (static_cast<size_t>(sample) * p.height + line) * p.width + column;
  load8(static_cast<const T*>(p.x) + row * p.x_stride + first, v);
  if (p.scale_shift == nullptr) return;
  const float* lines = p.scale_shift + static_cast<size_t>(sample) * p.scale_shift_stride + first;
  float scale[8], shift[8];
  load8(lines, 8, scale);
  load8(lines + p.channels, 8, shift);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = silu(fmaf(v[i], scale[i], shift[i]));
}

constexpr int kPictureThreads = 256;

/// One after the other all pictures with the zeros between them that a convolution finds around each: a line above all,
/// `lines` for each picture, the last of them zeros, `columns` in a line, the first of them a zero, which the line
/// before ends with as well. With `split` instead four sets of pictures, of the pixels (2 i + a, 2 j + b), a line and a
/// column of zeros after each.
struct BorderArguments {
  Pictures pictures;  // channels: a multiple of 8
  bool split;
  int lines, columns;
  int rows;  // of y
  void* y;
  int y_stride;
};

template <class T>
__global__ void __launch_bounds__(kPictureThreads) border_kernel(const __grid_constant__ BorderArguments b) {
  wait_for_previous_grid();
  let_next_grid_start();
  const Pictures& p = b.pictures;
  const int index = blockIdx.x * kPictureThreads + threadIdx.x, octets = p.channels / 8;
  const int row = index / octets, first = index % octets * 8;
  if (row >= b.rows) return;
  int sample, line, column = row % b.columns;
  if (b.split) {
    const int part = row / b.columns / b.lines / p.samples;
    sample = row / b.columns / b.lines % p.samples;
    line = row / b.columns % b.lines * 2 + part / 2;
    column = column * 2 + part % 2;
  } else {
    const int above = row / b.columns - 1;
    sample = above < 0 ? 0 : above / b.lines;
    line = above < 0 ? -1 : above % b.lines;
    --column;
  }
  float v[8] = {};
  if (line >= 0 && line < p.height && column >= 0 && column < p.width) load_pixel<T>(p, sample, line, column, first, v);
  store8(static_cast<T*>(b.y) + static_cast<size_t>(row) * b.y_stride + first, v, 8);
}

/// For channels that make no whole chunks: a row for each place, the pixels of all kernels' taps one after the other.
/// Where there are four kernels, those of the others are zeros.
struct UnfoldArguments {
  Pictures pictures;
  int places_height, places_width;
  int taps, step;  // of a side; pixels to the next place
  int kernels, kernel;
  int line_before, column_before;  // pixels of the first place before the picture, for this kernel
  void* y;                         // [places, kernels * taps * taps * channels]
  int y_stride;
};

template <class T>
__global__ void __launch_bounds__(kPictureThreads) unfold_kernel(const __grid_constant__ UnfoldArguments u) {
  wait_for_previous_grid();
  let_next_grid_start();
  const Pictures& p = u.pictures;
  const int of_kernel = u.taps * u.taps * p.channels, inputs = u.kernels * of_kernel;
  const int places = p.samples * u.places_height * u.places_width;
  const int index = blockIdx.x * kPictureThreads + threadIdx.x;
  const int place = index / inputs, input = index % inputs;
  if (place >= places) return;
  const int tap = input % of_kernel / p.channels, channel = input % p.channels;
  const int sample = place / u.places_width / u.places_height;
  const int line = place / u.places_width % u.places_height * u.step - u.line_before + tap / u.taps;
  const int column = place % u.places_width * u.step - u.column_before + tap % u.taps;
  float value = 0.0f;
  if (input / of_kernel == u.kernel && line >= 0 && line < p.height && column >= 0 && column < p.width) {
    const size_t row = (static_cast<size_t>(sample) * p.height + line) * p.width + column;
    value = low<T>((static_cast<const T*>(p.x) + row * p.x_stride)[channel].bits);
    if (p.scale_shift != nullptr) {
      const float* lines = p.scale_shift + static_cast<size_t>(sample) * p.scale_shift_stride + channel;
      value = silu(fmaf(value, lines[0], lines[p.channels]));
    }
  }
  (static_cast<T*>(u.y) + static_cast<size_t>(place) * u.y_stride)[input].bits =
      static_cast<uint16_t>(pack<T>(value, 0.0f));
}

/// A row a warp; y may be x.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    rescale_kernel(const __grid_constant__ Pictures p, bool with_silu, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp(), pixels = p.height * p.width;
  if (row >= p.samples * pixels) return;
  const float* scale = p.scale_shift + static_cast<size_t>(row / pixels) * p.scale_shift_stride;
  const T* x = static_cast<const T*>(p.x) + static_cast<size_t>(row) * p.x_stride;
  y += static_cast<size_t>(row) * y_stride;
  for (int first = threadIdx.x % 32 * 8; first < p.channels; first += 256) {
    const int count = p.channels - first;
    float v[8];
    load8(x + first, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i >= count) continue;
      v[i] = fmaf(v[i], scale[first + i], scale[p.channels + first + i]);
      if (with_silu) v[i] = silu(v[i]);
    }
    store8(y + first, v, count);
  }
}

/// The mean of 2 x 2 pixels, a row of y a warp.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32)
    mean_pool_kernel(const __grid_constant__ Pictures p, T* y, int y_stride) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp(), height = p.height / 2, width = p.width / 2;
  if (row >= p.samples * height * width) return;
  const int line = row / width, column = row % width;  // lines of all samples
  const T* above = static_cast<const T*>(p.x) + static_cast<size_t>(2 * line * p.width + 2 * column) * p.x_stride;
  const T* below = above + static_cast<size_t>(p.width) * p.x_stride;
  for (int first = threadIdx.x % 32 * 8; first < p.channels; first += 256) {
    float a[8], b[8], c[8], d[8];
    load8(above + first, a);
    load8(above + p.x_stride + first, b);
    load8(below + first, c);
    load8(below + p.x_stride + first, d);
#pragma unroll
    for (int i = 0; i < 8; ++i) a[i] = 0.25f * ((a[i] + b[i]) + (c[i] + d[i]));
    store8(y + static_cast<size_t>(row) * y_stride + first, a, p.channels - first);
  }
}

}  // namespace magnets::cuda
