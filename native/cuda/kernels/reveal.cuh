// Which masked positions become known: one block a sample finds the confidence of the last to be revealed, then walks
// the positions in order, so that of equal confidences the lower positions go first.
#pragma once

#include "../../ops/decode_ops.h"
#include "kth_largest.cuh"

namespace magnets::cuda {

constexpr int kRevealThreads = 128, kRevealWarps = kRevealThreads / 32;

struct RevealArguments {
  const int* tokens;  // [samples, token_count], like the others
  int tokens_stride;
  const float* confidence;
  int confidence_stride;
  const int* masked_after;  // [samples]
  int token_count;
  int* ids;
  int ids_stride;
  uint8_t* state;
  int state_stride;
};

struct RevealShared {
  int sums[kRevealWarps];
  int ties[kRevealWarps];
};

/// How many threads before this one have `flag`, and how many have it at all.
__device__ __forceinline__ int count_before(bool flag, int* sums, int& all) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned votes = __ballot_sync(~0u, flag);
  __syncthreads();  // the sums of the call before have been read
  if (lane == 0) sums[warp] = __popc(votes);
  __syncthreads();
  int before = __popc(votes & ((1u << lane) - 1));
  all = 0;
  for (int i = 0; i < kRevealWarps; ++i) {
    if (i < warp) before += sums[i];
    all += sums[i];
  }
  return before;
}

__device__ __forceinline__ void reveal(const RevealArguments& r, size_t sample, RevealShared& shared) {
  const int* tokens = r.tokens + sample * r.tokens_stride;
  const float* confidence = r.confidence + sample * r.confidence_stride;
  int* ids = r.ids + sample * r.ids_stride;
  uint8_t* state = r.state + sample * r.state_stride;

  // Known positions come last in the order: below every float.
  const auto order = [&](int i) { return state[i] == kMasked ? order_of(confidence[i]) : 0u; };
  int own_masked = 0;
  for (int i = threadIdx.x; i < r.token_count; i += kRevealThreads) own_masked += state[i] == kMasked;
  const int count = sum_of_block<kRevealThreads>(own_masked, shared.sums) - r.masked_after[sample];
  const uint32_t last = count > 0 ? kth_largest<kRevealThreads>(r.token_count, count, order, shared.sums) : ~0u;
  int own_above = 0;
  for (int i = threadIdx.x; i < r.token_count; i += kRevealThreads) own_above += order(i) > last;
  int ties_left = count - sum_of_block<kRevealThreads>(own_above, shared.sums);

  for (int first = 0; first < r.token_count; first += kRevealThreads) {
    const int i = first + threadIdx.x;
    const uint32_t own = i < r.token_count ? order(i) : 0;
    int ties = 0;
    const int before = count_before(own == last, shared.ties, ties);
    if (i < r.token_count) {
      if (state[i] == kMasked && (own > last || (own == last && before < ties_left))) {
        state[i] = kRevealed;
        ids[i] = tokens[i];
      } else if (state[i] == kRevealed) {
        state[i] = kKnown;
      }
    }
    ties_left -= ties;
  }
}

static __global__ void __launch_bounds__(kRevealThreads) reveal_kernel(const __grid_constant__ RevealArguments r) {
  wait_for_previous_grid();
  let_next_grid_start();
  reveal(r, blockIdx.x, shared_as<RevealShared>());
}

}  // namespace magnets::cuda
