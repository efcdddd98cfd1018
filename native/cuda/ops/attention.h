// Which attention kernel runs, and over which blocks.
#pragma once

#include "../../ops/types.h"
#include "../kernels/attention.h"

namespace magnets::cuda {

struct AttentionChoice {
  AttentionKernel kernel;
  int rows;  // of a block
  dim3 threads;
  size_t shared;  // bytes
};

/// most_rows: active rows of the branch that has most; heads: of all branches together.
AttentionChoice choose_attention(ComputeType compute, int head_dim, int most_rows, int heads, int multiprocessors);

}  // namespace magnets::cuda
