// Matrix products by mma.sync in f16.
#include "../matmul/mma.cuh"

namespace magnets::cuda {

template MmaKernel mma_kernel<f16>(MmaTile);

}  // namespace magnets::cuda
