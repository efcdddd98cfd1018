#include "reference.h"

namespace magnets::reference {

SelectedRows select_rows(const std::vector<uint8_t>& state, const std::vector<int32_t>& turns,
                         const std::vector<int32_t>& masked_after, int branches, int tokens, bool refresh,
                         bool all_logits) {
  const int samples = static_cast<int>(masked_after.size());
  SelectedRows selected{{}, {}, {0}, {0}};
  for (int branch = 0; branch < branches; ++branch) {
    for (int position = 0; position <= tokens; ++position) {
      const int token = branch % samples * tokens + position - 1;
      const uint8_t at = position == 0 ? uint8_t{kKnown} : state[token];
      if (!refresh && at == kKnown) continue;
      const bool drawn = at == kMasked && turns[token] >= masked_after[branch % samples];
      if (all_logits || drawn) selected.logits_rows.push_back(static_cast<int32_t>(selected.rows.size()));
      selected.rows.push_back(branch * (tokens + 1) + position);
    }
    selected.row_offsets.push_back(static_cast<int32_t>(selected.rows.size()));
    selected.logits_offsets.push_back(static_cast<int32_t>(selected.logits_rows.size()));
  }
  return selected;
}

}  // namespace magnets::reference
