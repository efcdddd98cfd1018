// The tokens of a step, and which of them become known.
#include "../cuda_stream.h"
#include "../kernels/sample.cuh"

namespace magnets::cuda {

namespace {

static_assert(sizeof(SampleSettings) == kSampleSettingsWords * sizeof(int32_t));

SampleArguments arguments_of(const Sample& op) {
  return {
      .logits = cuda(op.logits).as<float>(),
      .logits_stride = cuda(op.logits).stride(),
      .row_index = cuda(op.rows.index).as<int>(),
      .logits_rows = cuda(op.logits_rows).as<int>(),
      .logits_offsets = cuda(op.logits_offsets).as<int>(),
      .conditional_rows = op.guided ? op.logits_count / 2 : op.logits_count,
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
}

RevealArguments arguments_of(const Reveal& op) {
  return {
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
}

}  // namespace

void CudaStream::do_run(const Sample& op) {
  const SampleArguments arguments = arguments_of(op);
  const int blocks = arguments.conditional_rows * op.sub_tokens;
  if (blocks == 0) return;
  launch(sample_kernel, grid_of(blocks), kSampleThreads, sizeof(SampleShared), arguments);
}

void CudaStream::do_run(const Reveal& op) {
  launch(reveal_kernel, grid_of(op.samples), kRevealThreads, sizeof(RevealShared), arguments_of(op));
}

void CudaStream::do_run(const Sample& op, const Reveal& then) {
  const SampleArguments arguments = arguments_of(op);
  const int blocks = op.samples + arguments.conditional_rows * op.sub_tokens;
  launch(sample_and_reveal_kernel, grid_of(blocks), kSampleThreads, sizeof(SampleAndRevealShared), arguments,
         arguments_of(then), tickets(op.samples));
}

}  // namespace magnets::cuda
