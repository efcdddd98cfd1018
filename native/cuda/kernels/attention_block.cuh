// Which part of attention a block computes, in every kernel of it.
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

}  // namespace magnets::cuda
