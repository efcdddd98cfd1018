// One block a masked position: guidance, top-k, Gumbel-max and confidence in one pass over the logits (two more where
// top-k asks), with the noise of philox.h.
#include "../philox.h"
#include "cuda_stream.h"
#include "order.cuh"

namespace magnets::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;

struct Drawing {
  const float* logits;
  int logits_stride;
  const int *row_index, *head;
  int conditional;  // rows of the head that have a sample of their own
  int positions, samples;
  const uint8_t* state;
  int state_stride;
  const uint32_t* noise_keys;  // [3, samples]
  int noise_stride;
  int codebook_size, top_k;
  bool guided;
  float guidance, temperature, choice_temperature;
  uint32_t step;
  int* tokens;
  float* confidence;
  int tokens_stride, confidence_stride;
};

__device__ __forceinline__ float gumbel(uint32_t bits) { return -logf(-logf(to_uniform(bits))); }

/// A candidate and its score; and of all seen so far the largest logit and the sum of e^(logit - largest).
struct Best {
  float score, logit;
  int token;
  float largest, sum;

  __device__ __forceinline__ void take(const Best& other) {
    if (other.score > score || (other.score == score && other.token < token)) {
      score = other.score, logit = other.logit, token = other.token;
    }
    const float most = fmaxf(largest, other.largest);
    if (most == -INFINITY) return;
    sum = sum * expf(largest - most) + other.sum * expf(other.largest - most);
    largest = most;
  }
};

struct Shared {
  Best best[kWarps];
  int sums[kWarps];
};

__global__ void __launch_bounds__(kThreads) sample_kernel(const __grid_constant__ Drawing d) {
  auto& shared = shared_as<Shared>();
  wait_for_previous_grid();
  let_next_grid_start();
  const int at = d.row_index[d.head[blockIdx.x]];
  const int sample = at / d.positions % d.samples, position = at % d.positions - 1;
  if (position < 0 || d.state[static_cast<size_t>(sample) * d.state_stride + position] != kMasked) return;

  const float* with = d.logits + static_cast<size_t>(blockIdx.x) * d.logits_stride;
  const float* without = with + static_cast<size_t>(d.conditional) * d.logits_stride;
  const auto logit = [&](int i) {
    // The same bits wherever it is inlined, for the k-th largest is compared with all. What weights made overflow is
    // the least likely: nothing compares with NaN.
    const float value = d.guided ? fmaf(1.0f + d.guidance, with[i], -(d.guidance * without[i])) : with[i];
    return isnan(value) ? -INFINITY : value;
  };
  const uint64_t seed = d.noise_keys[d.noise_stride + sample] | uint64_t{d.noise_keys[2 * d.noise_stride + sample]}
                                                                    << 32;
  const auto noise = [&](uint32_t block) {
    return philox({block, static_cast<uint32_t>(position), d.step, d.noise_keys[sample]}, seed);
  };

  uint32_t least = 0;  // of the top k
  if (d.top_k > 0 && d.top_k < d.codebook_size) {
    least = kth_largest<kThreads>(
        d.codebook_size, d.top_k, [&](int i) { return order_of(logit(i)); }, shared.sums);
  }

  Best best{-INFINITY, 0.0f, 0x7fffffff, -INFINITY, 0.0f};
  for (int first = threadIdx.x * 4; first < d.codebook_size; first += kThreads * 4) {
    const PhiloxBlock bits = d.temperature > 0 ? noise(first / 4) : PhiloxBlock{};
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      const int token = first + lane;
      if (token >= d.codebook_size) break;
      const float value = logit(token);
      const float score = order_of(value) < least ? -INFINITY
                          : d.temperature > 0     ? value / d.temperature + gumbel(bits[lane])
                                                  : value;
      best.take({score, value, token, value, 1.0f});
    }
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    best.take({__shfl_xor_sync(~0u, best.score, lanes), __shfl_xor_sync(~0u, best.logit, lanes),
               __shfl_xor_sync(~0u, best.token, lanes), __shfl_xor_sync(~0u, best.largest, lanes),
               __shfl_xor_sync(~0u, best.sum, lanes)});
  }
  if (threadIdx.x % 32 == 0) shared.best[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kWarps; ++warp) best.take(shared.best[warp]);

  float confidence = best.logit - (best.largest + logf(best.sum));
  if (d.choice_temperature != 0) confidence += d.choice_temperature * gumbel(noise(kChoiceBlock)[0]);
  d.tokens[static_cast<size_t>(sample) * d.tokens_stride + position] = best.token;
  d.confidence[static_cast<size_t>(sample) * d.confidence_stride + position] = confidence;
}

}  // namespace

void CudaStream::sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
                        const Buffer& noise_keys, int samples, int, const Sampling& sampling, Buffer& tokens,
                        Buffer& confidence) {
  const int conditional = sampling.guided ? head_count / 2 : head_count;
  if (conditional == 0) return;
  const Drawing arguments{
      .logits = cuda(logits).as<float>(),
      .logits_stride = cuda(logits).stride(),
      .row_index = cuda(rows.index).as<int>(),
      .head = cuda(head).as<int>(),
      .conditional = conditional,
      .positions = rows.positions,
      .samples = samples,
      .state = cuda(state).as<uint8_t>(),
      .state_stride = cuda(state).stride(),
      .noise_keys = cuda(noise_keys).as<uint32_t>(),
      .noise_stride = cuda(noise_keys).stride(),
      .codebook_size = sampling.codebook_size,
      .top_k = sampling.top_k,
      .guided = sampling.guided,
      .guidance = sampling.guidance,
      .temperature = sampling.temperature,
      .choice_temperature = sampling.choice_temperature,
      .step = sampling.step,
      .tokens = cuda(tokens).as<int>(),
      .confidence = cuda(confidence).as<float>(),
      .tokens_stride = cuda(tokens).stride(),
      .confidence_stride = cuda(confidence).stride(),
  };
  launch(sample_kernel, grid_of(conditional), kThreads, sizeof(Shared), arguments);
}

}  // namespace magnets::cuda
