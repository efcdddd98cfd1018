// Matrix products by wgmma in bf16.
#include "../matmul/wgmma.cuh"

namespace magnets::cuda {

template WgmmaKernel wgmma_kernel<bf16>(int);

}  // namespace magnets::cuda
