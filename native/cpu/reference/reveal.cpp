#include <algorithm>

#include "reference.h"

namespace magnets::reference {

void reveal(const std::vector<int32_t>& tokens, const std::vector<float>& confidence,
            const std::vector<int32_t>& masked_after, std::vector<int32_t>& ids, std::vector<uint8_t>& state) {
  const size_t token_count = state.size() / masked_after.size();
  for (size_t sample = 0; sample < masked_after.size(); ++sample) {
    std::vector<size_t> masked;
    for (size_t i = sample * token_count; i < (sample + 1) * token_count; ++i) {
      if (state[i] == kMasked) masked.push_back(i);
      if (state[i] == kRevealed) state[i] = kKnown;
    }
    std::stable_sort(masked.begin(), masked.end(), [&](size_t a, size_t b) { return confidence[a] > confidence[b]; });
    for (size_t i = 0; i + masked_after[sample] < masked.size(); ++i) {
      state[masked[i]] = kRevealed;
      ids[masked[i]] = tokens[masked[i]];
    }
  }
}

void reveal_given(const std::vector<int32_t>& tokens, std::vector<int32_t>& ids, std::vector<uint8_t>& state) {
  for (size_t i = 0; i < state.size(); ++i) {
    if (state[i] == kMasked && tokens[i] >= 0) {
      state[i] = kRevealed;
      ids[i] = tokens[i];
    } else if (state[i] == kRevealed) {
      state[i] = kKnown;
    }
  }
}

}  // namespace magnets::reference
