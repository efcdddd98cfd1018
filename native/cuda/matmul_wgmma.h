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
  int tile_rows, tile_columns;
};

WgmmaKernel wgmma_kernel(bool wide, DType dtype);  // tiles of 256 columns, or of 128

/// x and the weights, for the boxes that the kernel loads. weight_rows, weight_columns: the full model's.
WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const Matmul& matmul, int weight_rows, int weight_columns, DType dtype);

}  // namespace magnets::cuda
