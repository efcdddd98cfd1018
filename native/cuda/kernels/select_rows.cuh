// The active rows of a step and those of them whose logits it needs: a warp lists one branch, in order.
#pragma once

#include "../../ops/decode_ops.h"
#include "rows.cuh"

namespace magnets::cuda {

struct SelectRowsArguments {
  const uint8_t* state;  // [samples, tokens]
  const int* turns;      // [samples, tokens]
  int turns_stride;
  const int* masked_after;  // [samples]
  int state_stride, samples, tokens, branches;
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
  int row = s.row_offsets[branch], logits_row = s.logits_offsets[branch];
  for (int first = 0; first <= s.tokens; first += 32) {
    const int position = first + lane;
    const bool exists = position <= s.tokens;
    const uint8_t at = position == 0 || !exists ? uint8_t{kKnown} : state[position - 1];
    const bool active = exists && (s.refresh || at != kKnown);
    const bool drawn = at == kMasked && turns[position - 1] >= masked_after;
    const bool has_logits = active && (s.all_logits || drawn);
    const unsigned active_lanes = __ballot_sync(~0u, active), logits_lanes = __ballot_sync(~0u, has_logits);
    const unsigned before = (1u << lane) - 1;
    const int own = row + __popc(active_lanes & before);
    if (active) s.rows[own] = branch * (s.tokens + 1) + position;
    if (has_logits) s.logits_rows[logits_row + __popc(logits_lanes & before)] = own;
    row += __popc(active_lanes);
    logits_row += __popc(logits_lanes);
  }
}

}  // namespace magnets::cuda
