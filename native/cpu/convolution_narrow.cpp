#include "convolution_narrow.h"

#include <algorithm>

#include "buffer.h"
#include "packed_linear.h"

namespace magnets::cpu {

namespace {

/// [in][32], where column tap * out + o is output o's weight at that tap.
void pack_taps(const PackedLinear& layer, int out, int in, float* panel) {
  std::fill_n(panel, static_cast<size_t>(in) * kPanel, 0.0f);
  for (int tap = 0; tap < 9; ++tap) {
    for (int i = 0; i < in; ++i) {
      for (int o = 0; o < out; ++o) panel[i * kPanel + tap * out + o] = layer.weight(o, tap * in + i);
    }
  }
}

/// products: [reads(height), reads(width), 32] of the piece's pixels.
void add_taps(const Convolution& op, const KernelShape& shape, const Piece& piece, const float* products) {
  const float* bias = cpu(op.layer).bias();
  const int columns = shape.reads(piece.width);
  for (int line = 0; line < piece.height; ++line) {
    for (int column = 0; column < piece.width; ++column) {
      const int row = (piece.sample * op.grid.height + piece.top + line) * op.grid.width + piece.left + column;
      float* y = cpu(op.y).row<float>(row);
      for (int o = 0; o < op.out; ++o) {
        float sum = op.add ? y[o] : 0.0f;
        for (int tap = 0; tap < 9; ++tap) {
          sum += products[((line + tap / 3) * columns + column + tap % 3) * kPanel + tap * op.out + o];
        }
        y[o] = sum + bias[o];
      }
    }
  }
}

}  // namespace

void convolve_narrow(const Kernels& kernels, ThreadPool& pool, const Convolution& op, const KernelShape& shape,
                     const Pieces& pieces, Scratch& scratch) {
  const size_t in = op.in, of_task = pieces.band_pixels() * (in + kPanel);
  float* panel = scratch.get<float>(in * kPanel + pool.threads() * of_task);
  pack_taps(cpu(op.layer), op.out, op.in, panel);

  pool.run(pieces.count(), [&](int task, int thread) {
    const Piece piece = pieces[task];
    float* band = panel + in * kPanel + thread * of_task;
    float* products = band + pieces.band_pixels() * in;
    fill_band(kernels, op, shape, piece, band);
    const int pixels = shape.reads(piece.height) * shape.reads(piece.width);
    for (int first = 0; first < pixels; first += kernels.tile_rows) {
      kernels.tile(std::min(kernels.tile_rows, pixels - first), band + first * in, in, panel, op.in, false, nullptr,
                   products + static_cast<size_t>(first) * kPanel, kPanel, {panel, 0});
    }
    add_taps(op, shape, piece, products);
  });
}

}  // namespace magnets::cpu
