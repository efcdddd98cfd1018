// The kernels of matmul_wgmma.cu.
#pragma once

#include <cuda.h>

#include <cstddef>

#include "matmul.h"

namespace magnets::cuda {

struct WgmmaMaps {
  CUtensorMap x, weight[3];
};

/// For a grid of as many blocks as the device has multiprocessors, at most one a tile.
struct WgmmaKernel {
  void (*function)(WgmmaMaps, Matmul);
  int threads;
  size_t shared;  // bytes
  int columns;    // of a tile
};

constexpr int kWgmmaRows = 128;                      // of a tile
WgmmaKernel wgmma_kernel(int columns, DType dtype);  // of a tile: 256, 128 or 64

/// x and the weights, for the boxes that the kernel loads. weight_rows, weight_columns: the full model's.
WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const Matmul& matmul, int weight_rows, int weight_columns, DType dtype);

}  // namespace magnets::cuda
