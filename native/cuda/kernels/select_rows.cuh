// The active rows of a step and those of them whose logits it needs. A warp lists one branch, of which each lane has
// some positions after the other: it counts what they want, hears from the lanes before it how much that is so far, and
// then knows the place of each of its rows.
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

/// The sum of the values of the lanes before this one.
__device__ __forceinline__ int sum_before(int value) {
  const int lane = threadIdx.x % 32;
  int sum = value;
#pragma unroll
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const int before = __shfl_up_sync(~0u, sum, lanes);
    if (lane >= lanes) sum += before;
  }
  return sum - value;
}

/// body(position, row, logits_row) for every row of a branch, by the lane that has its position; logits_row is -1 where
/// the row has none.
template <class Body>
__device__ __forceinline__ void for_each_row(const SelectRowsArguments& s, int branch, const Body& body) {
  const int lane = threadIdx.x % 32, positions = s.tokens + 1, each = (positions + 31) / 32;
  const int begin = lane * each, end = begin + each < positions ? begin + each : positions;
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
    if (position == 0) return wants;
    for (int i = (position - 1) * s.sub_tokens; i < position * s.sub_tokens; ++i) {
      const int turn = turns[i];  // whatever the state: neither load waits for the other
      wants.row += state[i] != kKnown;
      wants.logits += state[i] == kMasked && turn >= masked_after;
    }
    return wants;
  };

  // Sub-tokens that share a position with one before: so many other positions fill up, the first of the branch.
  int rows_to_fill = 0, logits_to_fill = 0;  // so many of this lane's and of the lanes' after it
  // found(position, active, has_logits, may): what becomes of each position; `may` fill up the logits rows.
  const auto walk = [&](const auto& found) {
    int rows_left = rows_to_fill, logits_left = logits_to_fill;
    for (int position = begin; position < end; ++position) {
      const Wants wants = wants_of(position);
      const bool fills = position > 0 && wants.row == 0 && rows_left-- > 0;
      const bool active = s.refresh || wants.row > 0 || fills;
      const bool may = active && position > 0 && wants.logits == 0, fills_logits = may && logits_left-- > 0;
      found(position, active, active && (s.all_logits || wants.logits > 0 || fills_logits), may);
    }
  };
  if (s.sub_tokens > 1) {
    int more_rows = 0, more_logits = 0, idle = 0, may_fill = 0;
    for (int position = begin; position < end; ++position) {
      const Wants wants = wants_of(position);
      if (wants.row > 1) more_rows += wants.row - 1;
      if (wants.logits > 1) more_logits += wants.logits - 1;
      idle += position > 0 && wants.row == 0;
    }
    rows_to_fill = sum_of_warp(more_rows) - sum_before(idle);
    walk([&](int, bool, bool, bool may) { may_fill += may; });
    logits_to_fill = sum_of_warp(more_logits) - sum_before(may_fill);
  }

  int rows = 0, logits_rows = 0;
  walk([&](int, bool active, bool has_logits, bool) { rows += active, logits_rows += has_logits; });
  int row = s.row_offsets[branch] + sum_before(rows);
  int logits_row = s.logits_offsets[branch] + sum_before(logits_rows);
  walk([&](int position, bool active, bool has_logits, bool) {
    if (active) body(position, row++, has_logits ? logits_row++ : -1);
  });
}

/// Lists a row; what it is, branch * positions + position.
__device__ __forceinline__ int list_row(const SelectRowsArguments& s, int branch, int position, int row,
                                        int logits_row) {
  const int at = branch * (s.tokens + 1) + position;
  s.rows[row] = at;
  if (logits_row >= 0) s.logits_rows[logits_row] = row;
  return at;
}

static __global__ void __launch_bounds__(kRowsOfBlock * 32)
    select_rows_kernel(const __grid_constant__ SelectRowsArguments s) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int branch = row_of_warp();
  if (branch >= s.branches) return;
  for_each_row(s, branch,
               [&](int position, int row, int logits_row) { list_row(s, branch, position, row, logits_row); });
}

/// Lists one row, by a warp that lists its whole branch; what it is, for all lanes.
__device__ __forceinline__ int select_row(const SelectRowsArguments& s, int row) {
  const int lane = threadIdx.x % 32;
  int branch = 0;
  for (int first = 0; first < s.branches; first += 32) {
    const bool before = first + lane < s.branches && s.row_offsets[first + lane + 1] <= row;
    branch += __popc(__ballot_sync(~0u, before));
  }
  int at = 0;  // where the row lies with another lane
  for_each_row(s, branch, [&](int position, int own, int logits_row) {
    if (own == row) at = list_row(s, branch, position, own, logits_row);
  });
  return sum_of_warp(at);
}

}  // namespace magnets::cuda
