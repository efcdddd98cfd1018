// Attention in f16, heads of more than 128.
#include "../kernels/wide_attention.cuh"

namespace magnets::cuda {

template AttentionKernel wide_attention_kernel_for<f16>();

}  // namespace magnets::cuda
