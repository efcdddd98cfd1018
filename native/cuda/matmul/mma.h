// The kernels of mma.cuh.
#pragma once

#include <cstddef>

#include "matmul.h"

namespace magnets::cuda {

enum class MmaTile { large, medium, small };

struct TileSize {
  int rows, columns;
};

constexpr TileSize size_of(MmaTile tile) {
  if (tile == MmaTile::large) return {128, 128};
  if (tile == MmaTile::medium) return {64, 64};
  return {32, 64};
}

/// For a grid of (column tiles, row tiles, products * splits) blocks.
struct MmaKernel {
  void (*function)(MatmulProblem);
  int threads;
  size_t shared;  // bytes
};

/// Instances are in instances/.
template <class T>
MmaKernel mma_kernel(MmaTile tile);

}  // namespace magnets::cuda
