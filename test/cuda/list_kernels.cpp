// Prints the shared memory that each kernel of matrix products and attention is launched with, for check-kernels.js.
#include <cstdio>

#include "../../native/cuda/attention.h"
#include "../../native/cuda/matmul_mma.h"
#include "../../native/cuda/matmul_wgmma.h"

using namespace magnets;
using namespace magnets::cuda;

int main() {
  std::printf("{\n");
  for (const auto& [tile, name] :
       {std::pair(MmaTile::large, "128, 128, 2, 4, 3"), std::pair(MmaTile::medium, "64, 64, 2, 2, 4"),
        std::pair(MmaTile::small, "32, 64, 2, 2, 4")}) {
    std::printf("  \"matmul_mma/multiply_kernel<T, %s>\": %zu,\n", name, mma_kernel(tile, DType::bf16).shared);
  }
  for (const int columns : {64, 128, 256}) {
    std::printf("  \"matmul_wgmma/multiply_kernel<T, %d>\": %zu,\n", columns,
                wgmma_kernel(columns, DType::bf16).shared);
  }
  for (const int dim : {16, 32, 64, 80, 96, 128}) {
    const auto shared = [&](int multiprocessors) {
      return attention_kernel_for(dim, 128, 1, multiprocessors, DType::bf16).shared;
    };
    std::printf("  \"attention/attention_kernel<T, %d, 1>\": %zu,\n", dim, shared(1));
    std::printf("  \"attention/attention_kernel<T, %d, %d>\": %zu%s\n", dim, dim <= 64 ? 4 : 2, shared(1000),
                dim == 128 ? "" : ",");
  }
  std::printf("}\n");
}
