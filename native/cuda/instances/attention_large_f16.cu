// Attention in f16, larger heads.
#include "../kernels/attention.cuh"

namespace magnets::cuda {

template AttentionKernel attention_kernel_for<f16, 80>(bool);
template AttentionKernel attention_kernel_for<f16, 96>(bool);
template AttentionKernel attention_kernel_for<f16, 128>(bool);

}  // namespace magnets::cuda
