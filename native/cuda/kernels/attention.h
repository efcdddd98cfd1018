// The kernels of attention.cuh: what they are given, and how large their blocks may be.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace magnets::cuda {

struct AttentionArguments {
  const void* q;  // [rows, heads * head_dim]
  int q_stride;
  const int* row_offsets;     // [branches + 1]
  const void *keys, *values;  // [branches, cache_heads, positions, head_dim]
  int positions, cache_heads, head_dim;
  float scale;  // log2(e) / sqrt(head_dim)
  void* out;    // [rows, heads * head_dim]
  int out_stride;
};

using AttentionKernel = void (*)(AttentionArguments);

/// Keys, and their values, that a group of warps takes in at once.
constexpr int kAttentionKeys = 64;
/// Warps of a block, 16 rows each: two blocks have room on a multiprocessor. Larger heads want more registers.
constexpr int most_warps(int dim) { return dim <= 64 ? 8 : 4; }
/// Where blocks are few: groups of a block that share the keys of the same rows, and warps of all groups together.
constexpr int most_groups(int dim) { return most_warps(dim) / 2; }
constexpr int most_sharing_warps(int dim) { return dim <= 64 ? 10 : 4; }

/// dim: head_dim rounded up to what there are kernels for; the rest is zeros. A row of a tile in shared memory has an
/// odd number of 16-byte chunks, so the eight rows of a matrix that ldmatrix reads lie in eight different banks.
constexpr int attention_stride(int dim) { return (dim / 8 | 1) * 8; }
template <int kDim>
constexpr int kAttentionStride = attention_stride(kDim);

/// Shared memory of a group of warps that has `rows` rows: two tiles of keys, two of values, the queries.
constexpr size_t attention_group_bytes(int dim, int rows) {
  return sizeof(short) * (4 * kAttentionKeys + rows) * attention_stride(dim);
}

/// The kernel whose blocks are one group of warps, or up to most_groups(kDim) that share keys. For a grid of (row
/// tiles, heads, branches) blocks of (threads of a group, groups) threads. Instances are in instances/.
template <class T, int kDim>
AttentionKernel attention_kernel_for(bool shared_keys);

/// Heads of more than this are wide: their queries, and what they mix, do not fit a warp's registers.
constexpr int kMostHeadDim = 128, kMostWideHeadDim = 512;
constexpr int kWideRows = 16, kWideKeys = 32, kWideWarps = 4;

/// Elements from row to row of a tile, and from row to row of the scores.
constexpr int wide_stride(int head_dim) { return ((head_dim + 15) / 16 * 2 | 1) * 8; }
constexpr int kWideScoreStride = kWideKeys + 4;
/// Shared memory: the queries, a tile of keys, one of values, the scores.
constexpr size_t wide_attention_bytes(int head_dim) {
  return sizeof(short) * (kWideRows + 2 * kWideKeys) * wide_stride(head_dim) +
         sizeof(float) * kWideRows * kWideScoreStride;
}

/// For a grid of (row tiles, heads, branches) blocks of kWideWarps warps.
template <class T>
AttentionKernel wide_attention_kernel_for();

}  // namespace magnets::cuda
