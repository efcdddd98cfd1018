// Attention in bf16, larger heads.
#include "../kernels/attention.cuh"

namespace magnets::cuda {

template AttentionKernel attention_kernel_for<bf16, 80>(bool);
template AttentionKernel attention_kernel_for<bf16, 96>(bool);
template AttentionKernel attention_kernel_for<bf16, 128>(bool);

}  // namespace magnets::cuda
