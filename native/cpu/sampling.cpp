// Drawing tokens, choosing which to reveal, and the nearest code.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "../philox.h"
#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

int largest(const float* x, int n) { return static_cast<int>(std::max_element(x, x + n) - x); }

/// Whom the noise of one position belongs to.
struct NoiseKey {
  uint64_t seed;
  uint32_t position, step, sample;
  PhiloxBlock block(uint32_t number) const { return philox({number, position, step, sample}, seed); }
};

struct Choice {
  int token;
  float confidence;
};

/// `logits` [C] are overwritten; `scratch` [C] and `bits` [C + 4] are scratch.
Choice choose(const Kernels& kernels, const Sampling& sampling, const NoiseKey& key, float* logits, float* scratch,
              uint32_t* bits) {
  const int n = sampling.codebook_size;
  std::copy_n(logits, n, scratch);
  const float most = *std::max_element(logits, logits + n);
  const float log_sum = most + std::log(kernels.softmax(scratch, n, 1.0f));

  float least = -INFINITY;  // of the top k
  if (sampling.top_k > 0 && sampling.top_k < n) {
    std::copy_n(logits, n, scratch);
    std::nth_element(scratch, scratch + sampling.top_k - 1, scratch + n, std::greater<>());
    least = scratch[sampling.top_k - 1];
  }

  int token = 0;
  if (sampling.temperature == 0) {
    token = largest(logits, n);
  } else {
    for (int first = 0; first < n; first += 4) {
      const PhiloxBlock block = key.block(first / 4);
      std::copy(block.begin(), block.end(), bits + first);
    }
    kernels.gumbel(bits, n, scratch);
    for (int i = 0; i < n; ++i) {
      scratch[i] = logits[i] >= least ? logits[i] / sampling.temperature + scratch[i] : -INFINITY;
    }
    token = largest(scratch, n);
  }

  float confidence = logits[token] - log_sum;
  if (sampling.choice_temperature != 0) {
    float noise;
    kernels.gumbel(key.block(kChoiceBlock).data(), 1, &noise);
    confidence += sampling.choice_temperature * noise;
  }
  return {token, confidence};
}

}  // namespace

void CpuStream::sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
                       const Buffer& noise_keys, int samples, int, const Sampling& sampling, Buffer& tokens,
                       Buffer& confidence) {
  const int32_t* index = cpu(rows.index).row<int32_t>(0);
  const int32_t* needed = cpu(head).row<int32_t>(0);
  const CpuBuffer& keys = cpu(noise_keys);
  const int conditional = sampling.guided ? head_count / 2 : head_count;
  const int n = sampling.codebook_size;

  over_rows(conditional, [&](int first, int last) {
    std::vector<float> guided(n), scratch(n);
    std::vector<uint32_t> bits(n + 4);
    for (int i = first; i < last; ++i) {
      const int row = index[needed[i]];
      const int sample = row / rows.positions % samples;
      const int token = row % rows.positions - 1;
      if (token < 0 || cpu(state).row<uint8_t>(sample)[token] != kMasked) continue;

      const float* with = cpu(logits).row<float>(i);
      std::copy_n(with, n, guided.begin());
      if (sampling.guided) {
        const float* without = cpu(logits).row<float>(conditional + i);
        const float w = sampling.guidance;
        for (int j = 0; j < n; ++j) guided[j] = (1 + w) * with[j] - w * without[j];
      }
      // What weights made overflow is the least likely: nth_element wants an order.
      for (float& logit : guided) logit = std::isnan(logit) ? -INFINITY : logit;
      const uint64_t seed = keys.row<uint32_t>(1)[sample] | uint64_t{keys.row<uint32_t>(2)[sample]} << 32;
      const NoiseKey key{seed, static_cast<uint32_t>(token), sampling.step, keys.row<uint32_t>(0)[sample]};
      const Choice choice = choose(kernels_, sampling, key, guided.data(), scratch.data(), bits.data());
      cpu(tokens).row<int32_t>(sample)[token] = choice.token;
      cpu(confidence).row<float>(sample)[token] = choice.confidence;
    }
  });
}

void CpuStream::reveal(const Buffer& tokens, const Buffer& confidence, const std::vector<int>& masked_after,
                       int token_count, Buffer& ids, Buffer& state) {
  std::vector<int> masked;
  for (int sample = 0; sample < static_cast<int>(masked_after.size()); ++sample) {
    uint8_t* states = cpu(state).row<uint8_t>(sample);
    masked.clear();
    for (int token = 0; token < token_count; ++token) {
      if (states[token] == kRevealed) states[token] = kKnown;
      if (states[token] == kMasked) masked.push_back(token);
    }
    const float* confidences = cpu(confidence).row<float>(sample);
    std::stable_sort(masked.begin(), masked.end(), [&](int a, int b) { return confidences[a] > confidences[b]; });
    masked.resize(masked.size() - masked_after[sample]);
    for (const int token : masked) {
      states[token] = kRevealed;
      cpu(ids).row<int32_t>(sample)[token] = cpu(tokens).row<int32_t>(sample)[token];
    }
  }
}

void CpuStream::argmax(const Buffer& x, int rows, int columns, Buffer& index) {
  int32_t* to = cpu(index).row<int32_t>(0);
  over_rows(rows, [&](int first, int last) {
    for (int row = first; row < last; ++row) to[row] = largest(cpu(x).row<float>(row), columns);
  });
}

}  // namespace magnets::cpu
