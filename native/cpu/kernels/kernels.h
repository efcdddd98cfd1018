// The inner loops, once per instruction set. Everything above them is shared and knows none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace magnets::cpu {

constexpr int kPanel = 32;  // columns of a packed panel
inline int panels_of(int columns) { return columns / kPanel + (columns % kPanel > 0); }

/// Memory that will be wanted after a tile: it is fetched into the second cache meanwhile, `step` bytes with every
/// input.
struct Ahead {
  const void* first;
  int step;
};

struct Kernels {
  const char* name;
  int tile_rows;       // the most rows of a tile
  int bf16_tile_rows;  // of one of bf16 weights
  int input_block;  // the most inputs that many tiles should take at a time: a panel's rows then stay in a fast cache

  /// c[rows][32] (+)= a[rows][k] · panel[k][32], and then + bias[32] where there is one; strides in floats. A row's
  /// result does not depend on `rows`.
  void (*tile)(int rows, const float* a, size_t a_stride, const float* panel, int k, bool accumulate, const float* bias,
               float* c, size_t c_stride, Ahead ahead);
  /// The same of bf16 weights, pairs [k][16] (packed_linear.h), which are widened as they are loaded.
  void (*tile_bf16)(int rows, const float* a, size_t a_stride, const uint32_t* panel, int k, bool accumulate,
                    const float* bias, float* c, size_t c_stride, Ahead ahead);

  /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias; a weight and a bias may be null. y may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon, int n, float* y);
  /// y = x / sqrt(mean of squares + epsilon) * weight + bias, likewise
  void (*rms_norm)(const float* x, const float* weight, const float* bias, float epsilon, int n, float* y);
  /// x = exp(scale * (x - max x)); returns the sum.
  float (*softmax)(float* x, int n, float scale);
  void (*add)(float* x, const float* y, int n);                               // x += y
  void (*add_scaled)(float* x, const float* scale, const float* y, int n);    // x += scale * y
  void (*add_squares)(float* x, const float* y, const float* center, int n);  // x += (y - center)²
  void (*multiply)(float* x, const float* y, int n);                          // x *= y
  /// y = scale * x + shift, with `with_silu` v / (1 + e^-v) of that; y may be x
  void (*rescale)(const float* x, const float* scale, const float* shift, int n, bool with_silu, float* y);
  void (*gelu)(float* x, int n);
  void (*gelu_tanh)(float* x, int n);
  void (*silu)(float* x, int n);
  void (*tanh)(float* x, int n);
  /// The noise of the n entries of a sub-token (philox.h), in whole blocks: bits has room for n + 3.
  void (*philox)(uint64_t seed, uint32_t sub_token, uint32_t step, uint32_t sample, int n, uint32_t* bits);
  /// x = -log(-log(u)), u uniform from the bits (philox.h)
  void (*gumbel)(const uint32_t* bits, int n, float* x);
  /// Where the largest is, the first of several; no number but NaN: 0. Places are exact up to 2^24.
  int (*largest)(const float* x, int n);
  /// Multiply-adds on registers alone, for measuring the peak; returns the FLOPs done.
  double (*burn)(int iterations);
};

/// Those that this processor can run, best first; the last is "portable".
const std::vector<const Kernels*>& available_kernels();

}  // namespace magnets::cpu
