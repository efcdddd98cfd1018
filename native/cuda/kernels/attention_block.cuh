// What every kernel of attention does alike: which part a block computes, and what the lanes of a row agree on.
#pragma once

#include <ptx.cuh>

#include "attention.h"

namespace magnets::cuda {

struct AttentionBlock {
  int head;
  int first_row, rows;  // rows: from there to the end of the branch; where there are none, the block has nothing to do
  int unit;             // the head's number among those of all branches in the cache
};

/// Of a grid of (row tiles, heads, branches), after the grid before: it may have written where branches begin.
__device__ __forceinline__ AttentionBlock attention_block(const AttentionArguments& a, int block_rows) {
  const int head = blockIdx.y, branch = blockIdx.z;
  const int first_row = a.row_offsets[branch] + blockIdx.x * block_rows;
  return {head, first_row, a.row_offsets[branch + 1] - first_row, branch * a.cache_heads + head};
}

/// The largest of a row, of which four lanes beside each other hold a part each.
__device__ __forceinline__ float largest_of_row(float most) {
  most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
  return fmaxf(most, __shfl_xor_sync(~0u, most, 2));
}

/// The sum of such a row.
__device__ __forceinline__ float sum_of_row(float sum) {
  sum += __shfl_xor_sync(~0u, sum, 1);
  return sum + __shfl_xor_sync(~0u, sum, 2);
}

}  // namespace magnets::cuda
