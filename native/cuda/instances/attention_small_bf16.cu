// Attention in bf16, heads of at most 64.
#include "../kernels/attention.cuh"

namespace magnets::cuda {

template AttentionKernel attention_kernel_for<bf16, 16>(bool);
template AttentionKernel attention_kernel_for<bf16, 32>(bool);
template AttentionKernel attention_kernel_for<bf16, 64>(bool);

}  // namespace magnets::cuda
