// Attention by wgmma in f16.
#include "../kernels/attention_wgmma.cuh"

namespace magnets::cuda {

template WgmmaAttentionKernel wgmma_attention_kernel<f16>();

}  // namespace magnets::cuda
