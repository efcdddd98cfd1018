#include "reference.h"

namespace magnets::reference {

SelectedRows select_rows(const std::vector<uint8_t>& state, int branches, int tokens, bool refresh, bool all_logits) {
  const int samples = static_cast<int>(state.size()) / tokens;
  SelectedRows selected{{}, {}, {0}, {0}};
  for (int branch = 0; branch < branches; ++branch) {
    for (int position = 0; position <= tokens; ++position) {
      const uint8_t at = position == 0 ? uint8_t{kKnown} : state[branch % samples * tokens + position - 1];
      if (!refresh && at == kKnown) continue;
      if (all_logits || at == kMasked) selected.logits_rows.push_back(static_cast<int32_t>(selected.rows.size()));
      selected.rows.push_back(branch * (tokens + 1) + position);
    }
    selected.row_offsets.push_back(static_cast<int32_t>(selected.rows.size()));
    selected.logits_offsets.push_back(static_cast<int32_t>(selected.logits_rows.size()));
  }
  return selected;
}

}  // namespace magnets::reference
