// Prints the shared memory that each kernel of matrix products and attention is launched with, for check-kernels.js.
#include <cstdio>
#include <ptx.cuh>

#include "../../native/cuda/kernels/attention_wgmma.h"
#include "../../native/cuda/matmul/mma.h"
#include "../../native/cuda/matmul/wgmma.h"

using namespace magnets;
using namespace magnets::cuda;

int main() {
  std::printf("{\n");
  for (const auto& [tile, name] :
       {std::pair(MmaTile::large, "128, 128, 2, 4, 3"), std::pair(MmaTile::medium, "64, 64, 2, 2, 4"),
        std::pair(MmaTile::small, "32, 64, 2, 2, 4")}) {
    std::printf("  \"matmul_mma_kernel<T, %s>\": %zu,\n", name, mma_kernel<bf16>(tile).shared);
  }
  for (int i = 0; i < kWgmmaShapeCount; ++i) {
    const WgmmaShape& shape = kWgmmaShapes[i];
    std::printf("  \"matmul_wgmma_kernel<T, %d, %d, %d>\": %zu,\n", shape.groups, shape.right, shape.swapped,
                wgmma_kernel<bf16>(i).shared);
  }
  std::printf("  \"wide_attention_kernel<T>\": %zu,\n", wide_attention_bytes(kMostWideHeadDim));
  std::printf("  \"attention_wgmma_kernel<T>\": %zu,\n", wgmma_attention_kernel<bf16>().shared);
  for (const int dim : {16, 32, 64, 80, 96, 128}) {
    const int rows = 16 * most_warps(dim), groups = most_groups(dim);
    const int sharing_rows = 16 * (most_sharing_warps(dim) / groups);
    std::printf("  \"attention_kernel<T, %d, 1>\": %zu,\n", dim, attention_group_bytes(dim, rows));
    std::printf("  \"attention_kernel<T, %d, %d>\": %zu%s\n", dim, groups,
                groups * attention_group_bytes(dim, sharing_rows), dim == 128 ? "" : ",");
  }
  std::printf("}\n");
}
