// Prints the shared memory that each kernel of matrix products and attention is launched with, for check-kernels.js.
#include <cstdio>
#include <ptx.cuh>

#include "../../native/cuda/matmul/mma.h"
#include "../../native/cuda/matmul/wgmma.h"
#include "../../native/cuda/ops/attention.h"

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
  std::printf("  \"wide_attention_kernel<T>\": %zu,\n",
              choose_attention(ComputeType::bf16, kMostWideHeadDim, 128, 1, 1).shared);
  for (const int dim : {16, 32, 64, 80, 96, 128}) {
    for (const int multiprocessors : {1, 1000}) {  // few of them, and so many that warps share keys
      const AttentionChoice choice = choose_attention(ComputeType::bf16, dim, 128, 1, multiprocessors);
      const bool last = dim == 128 && multiprocessors == 1000;
      std::printf("  \"attention_kernel<T, %d, %u>\": %zu%s\n", dim, choice.threads.y, choice.shared, last ? "" : ",");
    }
  }
  std::printf("}\n");
}
