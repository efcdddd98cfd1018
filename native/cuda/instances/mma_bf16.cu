// Matrix products by mma.sync in bf16.
#include "../matmul/mma.cuh"

namespace magnets::cuda {

template MmaKernel mma_kernel<bf16>(MmaTile);

}  // namespace magnets::cuda
