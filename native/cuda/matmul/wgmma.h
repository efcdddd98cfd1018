// The kernels of wgmma.cuh.
#pragma once

#include <cuda.h>

#include <cstddef>

#include "../../ops/types.h"
#include "matmul.h"

namespace magnets::cuda {

struct WgmmaMaps {
  CUtensorMap x, weight[3];
};

/// For a grid of as many blocks as the device has multiprocessors, at most one a tile.
struct WgmmaKernel {
  void (*function)(WgmmaMaps, MatmulProblem);
  int threads;
  size_t shared;  // bytes
  int columns;    // of a tile
};

constexpr int kWgmmaRows = 128;  // of a tile
constexpr int kWgmmaStep = kMatmulStep;

/// columns of a tile: 256, 128 or 64. Instances are in instances/.
template <class T>
WgmmaKernel wgmma_kernel(int columns);

/// x and the weights, for the boxes that the kernel loads. weight_rows: the full model's.
WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const MatmulProblem& problem, int weight_rows, ComputeType compute);

}  // namespace magnets::cuda
