// The active rows of a step and those of them that the head needs: a warp lists one branch, in order.
#include "cuda_stream.h"
#include "rows.cuh"

namespace magnets::cuda {

namespace {

struct Selecting {
  const uint8_t* state;
  int state_stride, samples, tokens, branches;
  bool refresh, head_all;
  const int *row_start, *head_start;  // [branches + 1]
  int *rows, *head;
};

__global__ void __launch_bounds__(kWarpsOfRows * 32) select_rows_kernel(const __grid_constant__ Selecting s) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int branch = row_of_warp(), lane = threadIdx.x % 32;
  if (branch >= s.branches) return;
  const uint8_t* state = s.state + static_cast<size_t>(branch % s.samples) * s.state_stride;
  int row = s.row_start[branch], needed = s.head_start[branch];
  for (int first = 0; first <= s.tokens; first += 32) {
    const int position = first + lane;
    const bool exists = position <= s.tokens;
    const uint8_t at = position == 0 || !exists ? uint8_t{kKnown} : state[position - 1];
    const bool active = exists && (s.refresh || at != kKnown);
    const bool in_head = active && (s.head_all || at == kMasked);
    const unsigned rows = __ballot_sync(~0u, active), heads = __ballot_sync(~0u, in_head);
    const unsigned before = (1u << lane) - 1;
    const int own = row + __popc(rows & before);
    if (active) s.rows[own] = branch * (s.tokens + 1) + position;
    if (in_head) s.head[needed + __popc(heads & before)] = own;
    row += __popc(rows);
    needed += __popc(heads);
  }
}

}  // namespace

void CudaStream::select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                             const Selection& selection, Buffer& rows, Buffer& head) {
  const int branches = static_cast<int>(selection.row_start.size()) - 1;
  std::vector<int> starts = selection.row_start;
  starts.insert(starts.end(), selection.head_start.begin(), selection.head_start.end());
  const int* placed = constants(starts);
  const Selecting arguments{
      .state = cuda(state).as<uint8_t>(),
      .state_stride = cuda(state).stride(),
      .samples = samples,
      .tokens = tokens,
      .branches = branches,
      .refresh = refresh,
      .head_all = head_all,
      .row_start = placed,
      .head_start = placed + branches + 1,
      .rows = cuda(rows).as<int>(),
      .head = cuda(head).as<int>(),
  };
  launch(select_rows_kernel, grid_of(divide_up(branches, kWarpsOfRows)), kWarpsOfRows * 32, 0, arguments);
}

}  // namespace magnets::cuda
