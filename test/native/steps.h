// Steps for a session, with the rows that a plan would say.
#pragma once

#include <numeric>

#include "../../native/engine/session.h"

namespace magnets::test {

/// What is masked in each sample of a batch, and was revealed in the step before.
struct MaskedCounts {
  MaskedCounts(const SessionOptions& options)
      : masked(options.class_ids.size()),
        revealed(masked.size()),
        branches(options.null_class_id ? 2 : 1),
        in_turns(!options.turns.empty()) {
    for (size_t i = 0; i < options.masked.size(); ++i)
      masked[i * masked.size() / options.masked.size()] += options.masked[i];
    tokens = static_cast<int>(options.masked.size() / masked.size());
  }

  /// The step after which masked_after of each sample are masked; these are counts of the batch from then on.
  Step step(Width width, bool refresh, bool all_logits, std::vector<int> masked_after, SampleSettings settings) {
    const int samples = static_cast<int>(masked.size());
    const int all_masked = std::accumulate(masked.begin(), masked.end(), 0);
    const int all_revealed = std::accumulate(revealed.begin(), revealed.end(), 0);
    const int rows = refresh ? samples * (tokens + 1) : all_masked + all_revealed;
    for (int i = 0; i < samples; ++i) revealed[i] = masked[i] - masked_after[i];
    masked = masked_after;
    const int drawn = in_turns ? std::accumulate(revealed.begin(), revealed.end(), 0) : all_masked;
    if (in_turns) settings.confidence = Confidence::turn;
    return {.width = width,
            .refresh = refresh,
            .all_logits = all_logits,
            .active_rows = branches * rows,
            .logits_rows = branches * (all_logits ? rows : drawn),
            .masked_after = std::move(masked_after),
            .settings = settings};
  }

  std::vector<int> masked, revealed;  // [samples]
  int branches;                       // of a sample
  bool in_turns;
  int tokens;
};

}  // namespace magnets::test
