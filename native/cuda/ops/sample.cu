#include "../cuda_stream.h"
#include "../kernels/sample.cuh"

namespace magnets::cuda {

static_assert(sizeof(SampleSettings) == kSampleSettingsWords * sizeof(int32_t));

void CudaStream::do_run(const Sample& op) {
  const int conditional_rows = op.guided ? op.logits_count / 2 : op.logits_count;
  if (conditional_rows == 0) return;
  const SampleArguments arguments{
      .logits = cuda(op.logits).as<float>(),
      .logits_stride = cuda(op.logits).stride(),
      .row_index = cuda(op.rows.index).as<int>(),
      .logits_rows = cuda(op.logits_rows).as<int>(),
      .conditional_rows = conditional_rows,
      .positions = op.rows.positions,
      .samples = op.samples,
      .sub_tokens = op.sub_tokens,
      .state = cuda(op.state).as<uint8_t>(),
      .state_stride = cuda(op.state).stride(),
      .noise_keys = cuda(op.noise_keys).as<uint32_t>(),
      .noise_stride = cuda(op.noise_keys).stride(),
      .settings = cuda(op.settings).as<SampleSettings>(),
      .codebook_size = op.codebook_size / op.sub_tokens,
      .guided = op.guided,
      .tokens = cuda(op.tokens).as<int>(),
      .confidence = cuda(op.confidence).as<float>(),
      .tokens_stride = cuda(op.tokens).stride(),
      .confidence_stride = cuda(op.confidence).stride(),
      .faults = cuda(op.faults).as<int>(),
      .faults_stride = cuda(op.faults).stride(),
  };
  launch(sample_kernel, grid_of(conditional_rows * op.sub_tokens), kSampleThreads, sizeof(SampleShared), arguments);
}

}  // namespace magnets::cuda
