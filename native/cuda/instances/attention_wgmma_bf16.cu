// Attention by wgmma in bf16.
#include "../kernels/attention_wgmma.cuh"

namespace magnets::cuda {

template WgmmaAttentionKernel wgmma_attention_kernel<bf16>();

}  // namespace magnets::cuda
