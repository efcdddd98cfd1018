// Rows of activations as bytes, for products with weights that are bytes. A row is rounded by itself, over the inputs
// that are in use.
#pragma once

#include "kernels/int8.h"
#include "memory.h"
#include "thread_pool.h"

namespace magnets::cpu {

struct QuantizedRows {
  const char* q;
  size_t stride;  // bytes
  const float* scales;
  const int32_t* sums;
};

/// Of x[:rows, :columns]; they live in `scratch`.
QuantizedRows quantize_rows(const Int8Kernels& kernels, ThreadPool& pool, const float* x, size_t x_stride, int rows,
                            int columns, Scratch& scratch);

}  // namespace magnets::cpu
