// The kernels of wgmma.cuh.
#pragma once

#include <cuda.h>

#include <cstddef>

#include "../../ops/types.h"
#include "matmul.h"

namespace magnets::cuda {

/// A tile of outputs. wgmma's left operand has 64 rows for each group of four warps, its right one any multiple of 8.
/// Plain: rows of x are left, weights right. Swapped: weights are left, so that rows of x go by eights and few of a
/// tile's are empty.
struct WgmmaShape {
  int groups;
  int right;  // rows of the right operand
  bool swapped;
  int stages;    // of the ring that operands come in by
  int resident;  // blocks on a multiprocessor
  constexpr int left() const { return 64 * groups; }
  constexpr int rows() const { return swapped ? right : left(); }
  constexpr int columns() const { return swapped ? left() : right; }
  constexpr int stage_bytes() const { return (left() + right) * kMatmulStep * 2; }
};

/// The first six are together within half a percent of the best of all shapes, by a model of the products of size L;
/// the last is for those of few rows and 1024 columns that a norm follows, which clusters of eight have together. Where
/// two blocks share a multiprocessor, one may be of the next kernel; sums of 136 rows and more leave no registers for a
/// second block.
constexpr WgmmaShape kWgmmaShapes[] = {
    {2, 256, false, 4, 1}, {2, 136, true, 3, 1}, {1, 72, true, 6, 2}, {2, 176, true, 3, 1},
    {2, 104, true, 3, 2},  {1, 56, true, 6, 2},  {2, 56, true, 4, 2},
};
constexpr int kWgmmaShapeCount = sizeof kWgmmaShapes / sizeof kWgmmaShapes[0];

struct WgmmaMaps {
  CUtensorMap x, weight[3];
  CUtensorMap y;  // set where goes_by_boxes
};

/// The most blocks of a cluster that every device with clusters can run.
constexpr int kMostClusterBlocks = 8;

/// Blocks that have all columns of a row together. Where the problem has a norm they are a cluster.
constexpr int blocks_of_row(const WgmmaShape& shape, const MatmulProblem& m) {
  return (m.out + shape.columns() - 1) / shape.columns();
}

/// For a grid of at most as many blocks as are resident on the device, at most one a tile; with a norm of whole
/// clusters.
struct WgmmaKernel {
  void (*function)(WgmmaMaps, MatmulProblem);
  int threads;
  size_t shared;  // bytes
};

/// Of kWgmmaShapes[shape]. Instances are in instances/.
template <class T>
WgmmaKernel wgmma_kernel(int shape);

/// x, the weights and y, for the boxes that the kernel moves. weight_rows: the full model's.
WgmmaMaps wgmma_maps(const WgmmaShape& shape, const MatmulProblem& problem, int weight_rows, ComputeType compute);

/// Whether sums are written as whole rows of y, in TMA's boxes; else they go to rows that the problem scatters, or are
/// f32.
constexpr bool goes_by_boxes(const MatmulProblem& m, int product) {
  return product == 0 && m.picture.lines == 0 && !m.f32_out;
}

}  // namespace magnets::cuda
