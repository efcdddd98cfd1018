#include <algorithm>
#include <cmath>
#include <functional>

#include "../../ops/philox.h"
#include "reference.h"

namespace magnets::reference {

Scores sample(const std::vector<double>& conditional, const std::vector<double>& unconditional,
              const SampleSettings& settings, uint32_t position, uint32_t sample, uint64_t seed) {
  const int n = static_cast<int>(conditional.size());
  std::vector<double> logits = conditional;
  if (!unconditional.empty()) {
    const double w = settings.guidance;
    for (int i = 0; i < n; ++i) logits[i] = (1 + w) * conditional[i] - w * unconditional[i];
  }

  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - most);

  Scores scores;
  const auto gumbel = [](uint32_t bits) { return -std::log(-std::log(((bits >> 9) + 0.5) / 8388608.0)); };
  std::vector<double> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const double least = settings.top_k > 0 && settings.top_k < n ? sorted[settings.top_k - 1] : -INFINITY;
  for (int i = 0; i < n; ++i) {
    const uint32_t bits = philox({static_cast<uint32_t>(i / 4), position, settings.step, sample}, seed)[i % 4];
    const double score = settings.temperature == 0 ? logits[i] : logits[i] / settings.temperature + gumbel(bits);
    scores.choice.push_back(logits[i] >= least ? score : -INFINITY);
  }
  const double choice_noise = gumbel(philox({kChoiceBlock, position, settings.step, sample}, seed)[0]);
  for (const double logit : logits) {
    double confidence = logit;
    if (settings.confidence != Confidence::logit) confidence -= most + std::log(sum);
    if (settings.confidence == Confidence::probability) confidence = std::exp(confidence);
    scores.confidence.push_back(confidence + settings.choice_temperature * choice_noise);
  }
  return scores;
}

}  // namespace magnets::reference
