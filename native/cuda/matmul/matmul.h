// A matrix product y = epilogue(x Wᵀ + b), as kernels receive it.
#pragma once

#include "../norm.h"

namespace magnets::cuda {

/// What the epilogue does with a sum h: y = h; y += h; y += scale * h; y *= h; y = gelu(h), exact or by the tanh
/// approximation; y = silu(h).
enum class Epilogue { store, add, add_scaled, multiply, gelu, gelu_tanh, silu, tanh };

/// Where keys and values of the rows go: [branch, head, position, head_dim].
struct CacheTarget {
  const int* row_index;  // branch * positions + position
  int positions;
  int heads;  // of the full model
  int head_dim;
};

/// Of a convolution: where the sums of row (sample * lines + line) * columns + column go. Lines and columns beyond
/// those of the picture are borders, which the rows of x have between pictures and lines: they go nowhere.
struct PictureTarget {
  int lines, columns;  // 0: not a convolution, rows of y
  int height, width;
  int parities;  // outputs of a pixel along each axis, of which these sums are one
  int parity_line, parity_column;
};

constexpr int kMostTaps = 9;

struct MatmulProblem {
  const void* x;  // [x_rows, in]
  int x_stride;   // elements, as all strides
  int x_rows;     // further ones count as zeros
  int rows, out, in;
  // The inputs of a row are those of several rows of x, one after the other: row r takes rows r + tap_rows[tap].
  int taps = 1;
  int tap_rows[kMostTaps] = {};
  int products;  // 1; or 3 that share x: queries to y, keys and values to the cache
  struct Product {
    const void* weight;  // the full model's; its first `out` rows and taps * in columns are used
    const float* bias;   // or null
    void* y;
  } product[3];
  int weight_stride;
  int y_stride;
  CacheTarget cache;   // where the epilogue scales, row_index and positions alone: they tell a row's branch
  const float* scale;  // [branches, out]
  int scale_stride;
  PictureTarget picture;
  Epilogue epilogue;
  bool f32_out;
  NormArguments norm;  // of the rows of y once they are whole, by wgmma's kernels in clusters; or none

  // A product of few tiles is split along its inputs: several blocks share a tile and add up their partial sums.
  int splits;
  float* partial_sums;  // [tiles, splits, a tile's size]
  unsigned* tickets;    // [tiles], zeros before and after
};

/// Inputs at once: 128 bytes of a row. A step never reaches from one tap into the next.
constexpr int kMatmulStep = 64;
constexpr int tap_steps(const MatmulProblem& m) { return (m.in + kMatmulStep - 1) / kMatmulStep; }

/// Sums are combined with what is in y.
constexpr bool reads_y(const MatmulProblem& m) {
  return m.epilogue == Epilogue::add || m.epilogue == Epilogue::add_scaled || m.epilogue == Epilogue::multiply;
}

}  // namespace magnets::cuda
