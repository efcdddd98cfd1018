// The kernels of attention.cu.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "../backend.h"

namespace magnets::cuda {

struct Attention {
  const void* q;  // [rows, heads * head_dim]
  int q_stride;
  const int* row_start;  // [branches + 1]
  const void *keys, *values;
  int positions, cache_heads, head_dim;
  float scale;  // log2(e) / sqrt(head_dim)
  void* out;
  int out_stride;
};

/// For a grid of (row tiles, heads, branches) blocks.
struct AttentionKernel {
  void (*function)(Attention);
  int rows;  // of a tile
  dim3 threads;
  size_t shared;  // bytes
};

/// most_rows: active rows of the branch that has most; heads: of all branches together.
AttentionKernel attention_kernel_for(int head_dim, int most_rows, int heads, int multiprocessors, DType dtype);

}  // namespace magnets::cuda
