#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

#include "../ops/philox.h"
#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

/// Whom the noise of one sub-token belongs to.
struct NoiseKey {
  uint64_t seed;
  uint32_t sub_token, step, sample;
};

struct Choice {
  int token;
  float confidence;
};

/// What noise is added to, for a token with this logit.
float confidence_of(Confidence kind, float logit, float log_sum) {
  if (kind == Confidence::logit) return logit;
  return kind == Confidence::probability ? std::exp(logit - log_sum) : logit - log_sum;
}

/// logits: [n]; `scores` [n] and `bits` [n + 4] are scratch.
Choice choose(const Kernels& kernels, const SampleSettings& settings, const NoiseKey& key, int n, const float* logits,
              float* scores, uint32_t* bits) {
  std::copy_n(logits, n, scores);
  const int most_likely = kernels.largest(logits, n);
  const float log_sum = logits[most_likely] + std::log(kernels.softmax(scores, n, 1.0f));

  float least = -INFINITY;  // of the top k
  if (settings.top_k > 0 && settings.top_k < n) {
    std::copy_n(logits, n, scores);
    std::nth_element(scores, scores + settings.top_k - 1, scores + n, std::greater<>());
    least = scores[settings.top_k - 1];
  }

  int token = most_likely;
  if (settings.temperature != 0) {
    kernels.philox(key.seed, key.sub_token, key.step, key.sample, n, bits);
    kernels.gumbel(bits, n, scores);
    const float temperature = settings.temperature;
    for (int i = 0; i < n; ++i) scores[i] = logits[i] / temperature + scores[i];
    for (int i = 0; least > -INFINITY && i < n; ++i) scores[i] = logits[i] >= least ? scores[i] : -INFINITY;
    token = kernels.largest(scores, n);
  }

  float confidence = confidence_of(settings.confidence, logits[token], log_sum);
  if (settings.choice_temperature != 0) {
    float noise;
    kernels.gumbel(philox({kChoiceBlock, key.sub_token, key.step, key.sample}, key.seed).data(), 1, &noise);
    confidence += settings.choice_temperature * noise;
  }
  return {token, confidence};
}

}  // namespace

void CpuStream::do_run(const Sample& op) {
  const int32_t* index = cpu(op.rows.index).row<int32_t>(0);
  const int32_t* logits_rows = cpu(op.logits_rows).row<int32_t>(0);
  const CpuBuffer& keys = cpu(op.noise_keys);
  const int conditional = op.guided ? op.logits_count / 2 : op.logits_count;
  const int n = op.codebook_size / op.sub_tokens;  // of a sub-token
  std::array<int32_t, kSampleSettingsWords> words;
  std::copy_n(cpu(op.settings).row<int32_t>(0), words.size(), words.begin());
  const auto settings = std::bit_cast<SampleSettings>(words);
  // Of every thread: guided logits, scores and random bits, the last in whole blocks of Philox.
  const size_t stride = n + static_cast<size_t>(n) + (n + 4);
  float* scratch = sample_scratch_.get<float>(pool_->threads() * stride);

  pool_->run(conditional * op.sub_tokens, [&](int task, int thread) {
    const int i = task / op.sub_tokens, part = task % op.sub_tokens;
    const int row = index[logits_rows[i]];
    const int sample = row / op.rows.positions % op.samples;
    const int position = row % op.rows.positions;
    const int token = (position - 1) * op.sub_tokens + part;
    if (position == 0 || cpu(op.state).row<uint8_t>(sample)[token] != kMasked) return;

    float* guided = scratch + thread * stride;
    float* scores = guided + n;
    auto* bits = reinterpret_cast<uint32_t*>(scores + n);
    const float* own = cpu(op.logits).row<float>(i) + part * n;
    std::copy_n(own, n, guided);
    if (op.guided) {
      const float* unconditional = cpu(op.logits).row<float>(conditional + i) + part * n;
      const float w = settings.guidance;
      for (int j = 0; j < n; ++j) guided[j] = (1 + w) * own[j] - w * unconditional[j];
    }
    int faulty = 0;
    for (int j = 0; j < n; ++j) faulty |= std::isfinite(guided[j]) ? 0 : 1;
    // nth_element wants an order, which NaN has not.
    for (int j = 0; faulty && j < n; ++j) guided[j] = std::isnan(guided[j]) ? -INFINITY : guided[j];
    int32_t& fault = cpu(op.faults).row<int32_t>(sample)[token];
    if (faulty && fault == kNoFault) fault = static_cast<int32_t>(settings.step);
    const uint64_t seed = keys.row<uint32_t>(1)[sample] | uint64_t{keys.row<uint32_t>(2)[sample]} << 32;
    const NoiseKey key{seed, static_cast<uint32_t>(token), settings.step, keys.row<uint32_t>(0)[sample]};
    const Choice choice = choose(kernels_, settings, key, n, guided, scores, bits);
    cpu(op.tokens).row<int32_t>(sample)[token] = part * n + choice.token;
    if (settings.confidence != Confidence::turn) cpu(op.confidence).row<float>(sample)[token] = choice.confidence;
  });
}

}  // namespace magnets::cpu
