// Attention in bf16, heads of more than 128.
#include "../kernels/wide_attention.cuh"

namespace magnets::cuda {

template AttentionKernel wide_attention_kernel_for<bf16>();

}  // namespace magnets::cuda
