// A matrix product y = epilogue(x Wᵀ + b) as its kernels get it.
#pragma once

namespace magnets::cuda {

/// What becomes of a sum h: y = h; y += h; y += scale * h; y *= h; y = gelu(h), exact or by the tanh approximation;
/// y = silu(h).
enum class Epilogue { store, add, add_scaled, multiply, gelu, gelu_tanh, silu };

/// Where keys and values of the rows go: [branch, head, position, head_dim].
struct CacheTarget {
  const int* row_index;  // branch * positions + position
  int positions;
  int heads;  // of the full model
  int head_dim;
};

struct MatmulProblem {
  const void* x;  // [rows, in]
  int x_stride;   // elements, as all strides
  int rows, out, in;
  int products;  // 1; or 3 that share x: queries to y, keys and values to the cache
  struct Product {
    const void* weight;  // the full model's; its first `out` rows and `in` columns are used
    const float* bias;   // or null
    void* y;
  } product[3];
  int weight_stride;
  int y_stride;
  CacheTarget cache;   // of a scaled product rows and positions alone, which say a row's branch
  const float* scale;  // [branches, out]
  int scale_stride;
  Epilogue epilogue;
  bool f32_out;

  // A product of few tiles is split along its inputs: several blocks share a tile and add up what they found.
  int splits;
  float* partial_sums;  // [tiles, splits, a tile's size]
  unsigned* tickets;    // [tiles], zeros before and after
};

}  // namespace magnets::cuda
