// The active rows of a step and those of them whose logits it needs: a warp lists one branch, in order.
#pragma once

#include "../../ops/decode_ops.h"
#include "rows.cuh"

namespace magnets::cuda {

struct SelectRowsArguments {
  const uint8_t* state;  // [samples, tokens * sub_tokens]
  const int* turns;      // [samples, tokens * sub_tokens]
  int turns_stride;
  const int* masked_after;  // [samples]
  int state_stride, samples, tokens, sub_tokens, branches;
  bool refresh, all_logits;
  const int *row_offsets, *logits_offsets;  // [branches + 1]
  int *rows, *logits_rows;
};

static __global__ void __launch_bounds__(kRowsOfBlock * 32)
    select_rows_kernel(const __grid_constant__ SelectRowsArguments s) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int branch = row_of_warp(), lane = threadIdx.x % 32;
  if (branch >= s.branches) return;
  const int sample = branch % s.samples;
  const uint8_t* state = s.state + static_cast<size_t>(sample) * s.state_stride;
  const int* turns = s.turns + static_cast<size_t>(sample) * s.turns_stride;
  const int masked_after = s.masked_after[sample];

  /// How many of a position's sub-tokens want a row, and how many want logits.
  struct Wants {
    int row, logits;
  };
  const auto wants_of = [&](int position) {
    Wants wants{0, 0};
    if (position == 0 || position > s.tokens) return wants;
    for (int i = (position - 1) * s.sub_tokens; i < position * s.sub_tokens; ++i) {
      wants.row += state[i] != kKnown;
      wants.logits += state[i] == kMasked && turns[i] >= masked_after;
    }
    return wants;
  };

  // Sub-tokens that share a position with one before: so many other positions fill up.
  int more_rows = 0, more_logits = 0;
  for (int position = 1 + lane; s.sub_tokens > 1 && position <= s.tokens; position += 32) {
    const Wants wants = wants_of(position);
    if (wants.row > 1) more_rows += wants.row - 1;
    if (wants.logits > 1) more_logits += wants.logits - 1;
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    more_rows += __shfl_xor_sync(~0u, more_rows, lanes);
    more_logits += __shfl_xor_sync(~0u, more_logits, lanes);
  }

  int row = s.row_offsets[branch], logits_row = s.logits_offsets[branch];
  const unsigned before = (1u << lane) - 1;
  /// Whether the lane is among the first `left` of those that `may`; takes all that are from `left`.
  const auto takes_one = [&](bool may, int& left) {
    const unsigned lanes = __ballot_sync(~0u, may);
    const bool takes = may && __popc(lanes & before) < left;
    left -= __popc(lanes);  // below 0 once nothing is left
    return takes;
  };
  for (int first = 0; first <= s.tokens; first += 32) {
    const int position = first + lane;
    const bool exists = position <= s.tokens;
    const Wants wants = wants_of(position);
    const bool fills = takes_one(exists && position > 0 && wants.row == 0, more_rows);
    const bool active = exists && (s.refresh || wants.row > 0 || fills);
    const bool fills_logits = takes_one(active && position > 0 && wants.logits == 0, more_logits);
    const bool has_logits = active && (s.all_logits || wants.logits > 0 || fills_logits);
    const unsigned active_lanes = __ballot_sync(~0u, active), logits_lanes = __ballot_sync(~0u, has_logits);
    const int own = row + __popc(active_lanes & before);
    if (active) s.rows[own] = branch * (s.tokens + 1) + position;
    if (has_logits) s.logits_rows[logits_row + __popc(logits_lanes & before)] = own;
    row += __popc(active_lanes);
    logits_row += __popc(logits_lanes);
  }
}

}  // namespace magnets::cuda
