#include "../cuda_stream.h"
#include "../kernels/reveal_given.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const RevealGiven& op) {
  const RevealGivenArguments arguments{
      .tokens = cuda(op.tokens).as<int>(),
      .tokens_stride = cuda(op.tokens).stride(),
      .samples = op.samples,
      .token_count = op.token_count,
      .ids = cuda(op.ids).as<int>(),
      .ids_stride = cuda(op.ids).stride(),
      .state = cuda(op.state).as<uint8_t>(),
      .state_stride = cuda(op.state).stride(),
  };
  launch(reveal_given_kernel, grid_of(divide_up(op.samples * op.token_count, kRevealGivenThreads)), kRevealGivenThreads,
         0, arguments);
}

}  // namespace magnets::cuda
