// One block a masked sub-token: guidance, top-k, Gumbel-max and confidence in one pass over the logits (32 more over
// their bits where top-k asks), with the noise of philox.h. The last block of a sample may reveal on its way out.
#pragma once

#include "../../ops/decode_ops.h"
#include "../../ops/philox.h"
#include "kth_largest.cuh"
#include "reveal.cuh"

namespace magnets::cuda {

constexpr int kSampleThreads = kRevealThreads, kSampleWarps = kSampleThreads / 32;

struct SampleArguments {
  const float* logits;  // [logits rows, >= sub_tokens * codebook_size]
  int logits_stride;
  const int *row_index, *logits_rows, *logits_offsets;
  int conditional_rows;  // logits rows of branches that have a sample of their own; as many follow where guided
  int positions, samples, sub_tokens;
  const uint8_t* state;  // [samples, tokens * sub_tokens]
  int state_stride;
  const uint32_t* noise_keys;  // [3, samples]: the sample's number, its seed's low and high half
  int noise_stride;
  const SampleSettings* settings;
  int codebook_size;  // of a sub-token
  bool guided;
  int* tokens;        // [samples, tokens * sub_tokens]
  float* confidence;  // [samples, tokens * sub_tokens]
  int tokens_stride, confidence_stride;
  int* faults;  // [samples, tokens * sub_tokens]
  int faults_stride;
};

__device__ __forceinline__ float gumbel(uint32_t bits) { return -logf(-logf(to_uniform(bits))); }

/// What noise is added to, for a token with this logit.
__device__ __forceinline__ float confidence_of(Confidence kind, float logit, float log_sum) {
  if (kind == Confidence::logit) return logit;
  return kind == Confidence::probability ? expf(logit - log_sum) : logit - log_sum;
}

/// The candidate with the best score; and of all seen so far the largest logit, the sum of e^(logit - largest), and
/// whether some were not finite.
struct Candidate {
  float score, logit;
  int token;
  float largest, sum;
  int faulty;

  __device__ __forceinline__ void merge(const Candidate& other) {
    if (other.score > score || (other.score == score && other.token < token)) {
      score = other.score, logit = other.logit, token = other.token;
    }
    faulty |= other.faulty;
    const float most = fmaxf(largest, other.largest);
    if (most == -INFINITY) return;
    sum = sum * expf(largest - most) + other.sum * expf(other.largest - most);
    largest = most;
  }
};

struct SampleShared {
  Candidate best[kSampleWarps];
  int sums[kSampleWarps];
};

/// Draws for sub-token `part` of a logits row, which is `at`: branch * positions + position.
__device__ __forceinline__ void draw(const SampleArguments& a, int logits_row, int part, int at, SampleShared& shared) {
  const int sample = at / a.positions % a.samples, position = at % a.positions;
  const int own = (position - 1) * a.sub_tokens + part;
  if (position == 0 || a.state[static_cast<size_t>(sample) * a.state_stride + own] != kMasked) return;

  const SampleSettings settings = *a.settings;
  const float* conditional = a.logits + static_cast<size_t>(logits_row) * a.logits_stride + part * a.codebook_size;
  const float* unconditional = conditional + static_cast<size_t>(a.conditional_rows) * a.logits_stride;
  const auto logit = [&](int i) {
    // The same bits wherever it is inlined, for the k-th largest is compared with all. What weights made overflow is
    // the least likely: nothing compares with NaN.
    const float value = a.guided
                            ? fmaf(1.0f + settings.guidance, conditional[i], -(settings.guidance * unconditional[i]))
                            : conditional[i];
    return isnan(value) ? -INFINITY : value;
  };
  const uint64_t seed = a.noise_keys[a.noise_stride + sample] | uint64_t{a.noise_keys[2 * a.noise_stride + sample]}
                                                                    << 32;
  const auto noise = [&](uint32_t block) {
    return philox({block, static_cast<uint32_t>(own), settings.step, a.noise_keys[sample]}, seed);
  };

  uint32_t least = 0;  // of the top k
  if (settings.top_k > 0 && settings.top_k < a.codebook_size) {
    least = kth_largest<kSampleThreads>(
        a.codebook_size, settings.top_k, [&](int i) { return order_of(logit(i)); }, shared.sums);
  }

  Candidate best{-INFINITY, 0.0f, 0x7fffffff, -INFINITY, 0.0f, 0};
  for (int first = threadIdx.x * 4; first < a.codebook_size; first += kSampleThreads * 4) {
    const PhiloxBlock bits = settings.temperature > 0 ? noise(first / 4) : PhiloxBlock{};
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      const int token = first + lane;
      if (token >= a.codebook_size) break;
      const float value = logit(token);
      const float score = order_of(value) < least    ? -INFINITY
                          : settings.temperature > 0 ? value / settings.temperature + gumbel(bits[lane])
                                                     : value;
      best.merge({score, value, token, value, 1.0f, fabsf(value) == INFINITY});
    }
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    best.merge({__shfl_xor_sync(~0u, best.score, lanes), __shfl_xor_sync(~0u, best.logit, lanes),
                __shfl_xor_sync(~0u, best.token, lanes), __shfl_xor_sync(~0u, best.largest, lanes),
                __shfl_xor_sync(~0u, best.sum, lanes), __shfl_xor_sync(~0u, best.faulty, lanes)});
  }
  if (threadIdx.x % 32 == 0) shared.best[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kSampleWarps; ++warp) best.merge(shared.best[warp]);

  int& fault = a.faults[static_cast<size_t>(sample) * a.faults_stride + own];
  if (best.faulty != 0 && fault == kNoFault) fault = static_cast<int>(settings.step);
  a.tokens[static_cast<size_t>(sample) * a.tokens_stride + own] = part * a.codebook_size + best.token;
  if (settings.confidence == Confidence::turn) return;
  float confidence = confidence_of(settings.confidence, best.logit, best.largest + logf(best.sum));
  if (settings.choice_temperature != 0) {
    confidence += settings.choice_temperature * gumbel(noise(kChoiceBlock)[0]);
  }
  a.confidence[static_cast<size_t>(sample) * a.confidence_stride + own] = confidence;
}

static __global__ void __launch_bounds__(kSampleThreads) sample_kernel(const __grid_constant__ SampleArguments a) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int logits_row = blockIdx.x / a.sub_tokens;
  draw(a, logits_row, blockIdx.x % a.sub_tokens, a.row_index[a.logits_rows[logits_row]], shared_as<SampleShared>());
}

struct SampleAndRevealShared {
  SampleShared sample;
  RevealShared reveal;
  bool last;  // this block was the last of its sample
};

/// Both at once. Before the blocks that draw there is one for each sample that draws nothing, so that a sample without
/// logits has one too; whichever of a sample's blocks comes last reveals.
static __global__ void __launch_bounds__(kSampleThreads)
    sample_and_reveal_kernel(const __grid_constant__ SampleArguments a, const __grid_constant__ RevealArguments r,
                             unsigned* tickets) {
  auto& shared = shared_as<SampleAndRevealShared>();
  wait_for_previous_grid();
  let_next_grid_start();
  const int drawing = static_cast<int>(blockIdx.x) - a.samples;
  int sample = blockIdx.x;
  if (drawing >= 0) {
    const int logits_row = drawing / a.sub_tokens, at = a.row_index[a.logits_rows[logits_row]];
    sample = at / a.positions;  // which is the branch
    draw(a, logits_row, drawing % a.sub_tokens, at, shared.sample);
  }
  __syncthreads();  // no thread of the block reads the sample's state any more
  if (threadIdx.x == 0) {
    const int rows = a.logits_offsets[sample + 1] - a.logits_offsets[sample];
    const int last = rows * a.sub_tokens;  // of the tickets from 0 on
    shared.last = atomic_add_acquire_release(&tickets[sample], 1) == static_cast<unsigned>(last);
    if (shared.last) tickets[sample] = 0;
  }
  __syncthreads();
  if (shared.last) reveal(r, sample, shared.reveal);
}

}  // namespace magnets::cuda
