// The kernel of attention_wgmma.cuh: what it is given.
#pragma once

#include <cuda.h>

#include "attention.h"

namespace magnets::cuda {

constexpr int kWgmmaHeadDim = 64;
constexpr int kWgmmaQueries = 64;  // rows of a block
/// Keys that come in, and are multiplied, at once; and those that softmax sees at once. Twice 136 are the 257 of a
/// picture of 16 x 16 tokens, and four times 272 the 1025 of a video.
constexpr int kWgmmaHalfKeys = 136, kWgmmaKeys = 2 * kWgmmaHalfKeys;

struct AttentionMaps {
  CUtensorMap q;             // [rows, heads * 64]
  CUtensorMap keys, values;  // [branches * cache_heads, positions, 64]
};

struct WgmmaAttentionKernel {
  void (*function)(AttentionMaps, AttentionArguments);
  int threads;
  size_t shared;  // bytes
};

/// For a grid of (row tiles, heads, branches) blocks. Instances are in instances/.
template <class T>
WgmmaAttentionKernel wgmma_attention_kernel();

}  // namespace magnets::cuda
