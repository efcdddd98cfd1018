// Products of weights and activations that are bytes: the inner loops, once per instruction set. Sums are exact, so
// that every set gives the same ones; the rounding before and after them is the same everywhere as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"

namespace magnets::cpu {

constexpr int kInputGroup = 4;    // inputs of one output that lie side by side in a packed panel
constexpr int kInt8Block = 1024;  // inputs that a tile takes at once, at most

/// The most inputs whose sum fits 32 bits whatever they are: weights reach -128 and inputs 127, see Int8Kernels::tile.
constexpr int kMostInt8Inputs = 0x7fffffff / (128 * 127);

/// A row of activations as bytes: x is about scale * q, -127 <= q <= 127.
struct Int8Row {
  float scale;
  int32_t sum;  // of q
};

struct Int8Kernels {
  const char* name;
  int tile_rows;
  int input_size;  // bytes that a q has in memory
  /// Which input of a group is first in a panel, which next, and so on.
  int order[kInputGroup];

  /// q = x / scale, rounded, for n inputs and zeros up to a whole group; scale is the largest |x| / 127. Where an x is
  /// not finite, neither is scale.
  Int8Row (*quantize)(const float* x, int n, void* q);
  /// sums[rows][32] (+)= q[rows] · panel, over one block of inputs after the other. `panel` has w + 128,
  /// [groups][32][4]. The first block, which does not accumulate, takes off what the 128 add to a whole row: `row_sums`
  /// has the sum of all its q. A sum and what it passes on its way stay within 128 * 127 for each input.
  void (*tile)(int rows, const void* q, size_t q_stride, const int32_t* row_sums, const uint8_t* panel, int groups,
               bool accumulate, int32_t* sums);
  /// y = sums * (scale * scales) + bias, or y + that
  void (*finish)(const int32_t* sums, float scale, const float* scales, const float* bias, int n, bool add, float* y);
};

/// Those that this processor can run, best first; the last is "portable".
const std::vector<const Int8Kernels*>& available_int8_kernels();

/// The best of those that an instruction set allows.
const Int8Kernels& int8_kernels(const Kernels& kernels);

}  // namespace magnets::cpu
