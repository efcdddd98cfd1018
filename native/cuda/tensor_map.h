// TMA's descriptions of matrices in device memory.
#pragma once

#include <cuda.h>

#include "../ops/types.h"

namespace magnets::cuda {

/// Elements of a box in a row: 128 bytes, which TMA swizzles.
constexpr int kBoxColumns = 64;

/// Rows of activations or weights; columns and stride in elements, box_rows at most 256. A box is kBoxColumns wide.
CUtensorMap matrix_map(const void* matrix, int rows, int columns, int stride, int box_rows, ComputeType compute);

/// Matrices [rows, columns] one after the other, as a box of one of them never reaches into the next.
CUtensorMap stack_map(const void* first, int matrices, int rows, int columns, int box_rows, ComputeType compute);

}  // namespace magnets::cuda
