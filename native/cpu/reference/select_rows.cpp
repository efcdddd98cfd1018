#include <algorithm>

#include "reference.h"

namespace magnets::reference {

SelectedRows select_rows(const std::vector<uint8_t>& state, const std::vector<int32_t>& turns,
                         const std::vector<int32_t>& masked_after, int branches, int tokens, bool refresh,
                         bool all_logits, int sub_tokens) {
  const int samples = static_cast<int>(masked_after.size());
  SelectedRows selected{{}, {}, {0}, {0}};
  for (int branch = 0; branch < branches; ++branch) {
    const int sample = branch % samples;
    // Sub-tokens of each position that want a row, and that want logits; position 0 is the class token's.
    std::vector<int> computed(tokens + 1), drawn(tokens + 1);
    int wanted_rows = 0, wanted_logits = 0;
    for (int i = 0; i < tokens * sub_tokens; ++i) {
      const int at = sample * tokens * sub_tokens + i;
      const bool draws = state[at] == kMasked && turns[at] >= masked_after[sample];
      computed[1 + i / sub_tokens] += state[at] != kKnown;
      drawn[1 + i / sub_tokens] += draws;
      wanted_rows += state[at] != kKnown;
      wanted_logits += draws;
    }
    const auto positions_with = [](const std::vector<int>& counts) {
      return static_cast<int>(std::count_if(counts.begin(), counts.end(), [](int count) { return count > 0; }));
    };
    int fill_rows = wanted_rows - positions_with(computed), fill_logits = wanted_logits - positions_with(drawn);
    for (int position = 0; position <= tokens; ++position) {
      bool row = refresh || computed[position] > 0;
      if (!row && position > 0 && fill_rows > 0) row = true, --fill_rows;
      if (!row) continue;
      bool logits = all_logits || drawn[position] > 0;
      if (!logits && position > 0 && fill_logits > 0) logits = true, --fill_logits;
      if (logits) selected.logits_rows.push_back(static_cast<int32_t>(selected.rows.size()));
      selected.rows.push_back(branch * (tokens + 1) + position);
    }
    selected.row_offsets.push_back(static_cast<int32_t>(selected.rows.size()));
    selected.logits_offsets.push_back(static_cast<int32_t>(selected.logits_rows.size()));
  }
  return selected;
}

}  // namespace magnets::reference
