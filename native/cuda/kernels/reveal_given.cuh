// Teacher forcing: positions become known by the tokens that are given, a thread each.
#pragma once

#include <ptx.cuh>

#include "../../ops/decode_ops.h"

namespace magnets::cuda {

constexpr int kRevealGivenThreads = 256;

struct RevealGivenArguments {
  const int* tokens;  // [samples, token_count], like the others
  int tokens_stride;
  int samples, token_count;
  int* ids;
  int ids_stride;
  uint8_t* state;
  int state_stride;
};

static __global__ void __launch_bounds__(kRevealGivenThreads)
    reveal_given_kernel(const __grid_constant__ RevealGivenArguments r) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int i = blockIdx.x * kRevealGivenThreads + threadIdx.x;
  if (i >= r.samples * r.token_count) return;
  const size_t sample = i / r.token_count, position = i % r.token_count;
  const int token = r.tokens[sample * r.tokens_stride + position];
  uint8_t& state = r.state[sample * r.state_stride + position];
  if (state == kRevealed) {
    state = kKnown;
  } else if (state == kMasked && token >= 0) {
    state = kRevealed;
    r.ids[sample * r.ids_stride + position] = token;
  }
}

}  // namespace magnets::cuda
