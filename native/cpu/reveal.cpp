#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

void CpuStream::do_run(const Reveal& op) {
  const int32_t* masked_after = cpu(op.masked_after).row<int32_t>(0);
  int32_t* masked = masked_tokens_.get<int32_t>(op.token_count);
  for (int sample = 0; sample < op.samples; ++sample) {
    uint8_t* states = cpu(op.state).row<uint8_t>(sample);
    int count = 0;
    for (int token = 0; token < op.token_count; ++token) {
      if (states[token] == kRevealed) states[token] = kKnown;
      if (states[token] == kMasked) masked[count++] = token;
    }
    const float* confidences = cpu(op.confidence).row<float>(sample);
    std::stable_sort(masked, masked + count, [&](int a, int b) { return confidences[a] > confidences[b]; });
    for (int i = 0; i < count - masked_after[sample]; ++i) {
      states[masked[i]] = kRevealed;
      cpu(op.ids).row<int32_t>(sample)[masked[i]] = cpu(op.tokens).row<int32_t>(sample)[masked[i]];
    }
  }
}

void CpuStream::do_run(const RevealGiven& op) {
  for (int sample = 0; sample < op.samples; ++sample) {
    uint8_t* states = cpu(op.state).row<uint8_t>(sample);
    const int32_t* tokens = cpu(op.tokens).row<int32_t>(sample);
    for (int token = 0; token < op.token_count; ++token) {
      if (states[token] == kMasked && tokens[token] >= 0) {
        states[token] = kRevealed;
        cpu(op.ids).row<int32_t>(sample)[token] = tokens[token];
      } else if (states[token] == kRevealed) {
        states[token] = kKnown;
      }
    }
  }
}

}  // namespace magnets::cpu
