// Attention in f16, heads of at most 64.
#include "../kernels/attention.cuh"

namespace magnets::cuda {

template AttentionKernel attention_kernel_for<f16, 16>(bool);
template AttentionKernel attention_kernel_for<f16, 32>(bool);
template AttentionKernel attention_kernel_for<f16, 64>(bool);

}  // namespace magnets::cuda
