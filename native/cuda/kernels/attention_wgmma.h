// The kernel of attention_wgmma.cuh: what it is given.
#pragma once

#include <cuda.h>

#include "attention.h"

namespace magnets::cuda {

constexpr int kWgmmaHeadDim = 64;
constexpr int kWgmmaQueries = 64;     // rows of a block
constexpr int kWgmmaHalfKeys = 136;   // that are loaded, and multiplied, at once
constexpr int kWgmmaKeys = 2 * kWgmmaHalfKeys;

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
