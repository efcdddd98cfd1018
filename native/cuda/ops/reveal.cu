#include "../cuda_stream.h"
#include "../kernels/reveal.cuh"

namespace magnets::cuda {

void CudaStream::do_run(const Reveal& op) {
  const RevealArguments arguments{
      .tokens = cuda(op.tokens).as<int>(),
      .tokens_stride = cuda(op.tokens).stride(),
      .confidence = cuda(op.confidence).as<float>(),
      .confidence_stride = cuda(op.confidence).stride(),
      .masked_after = cuda(op.masked_after).as<int>(),
      .token_count = op.token_count,
      .ids = cuda(op.ids).as<int>(),
      .ids_stride = cuda(op.ids).stride(),
      .state = cuda(op.state).as<uint8_t>(),
      .state_stride = cuda(op.state).stride(),
  };
  launch(reveal_kernel, grid_of(op.samples), kRevealThreads, sizeof(RevealShared), arguments);
}

}  // namespace magnets::cuda
