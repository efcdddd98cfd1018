// Matrix products by wgmma in f16.
#include "../matmul/wgmma.cuh"

namespace magnets::cuda {

template WgmmaKernel wgmma_kernel<f16>(int);

}  // namespace magnets::cuda
