// Attention like that of attention.cuh for heads of 64 on sm_90a, by one warpgroup: the scores of 64 rows and 272 keys
// are in registers at once, so that softmax has one maximum, and no sum is rescaled where there are no more keys.
// Longer sequences take 272 keys after the other. Powers are the left operand of the second product where they are.
//
// There is no producer: a block loads all that it can, and the keys (then the values) of the next turn as soon as
// nobody reads these any more, while it does the other half of this turn. Two blocks of four warps share a
// multiprocessor, 255 registers a thread; a fifth warp would leave 168.
#pragma once

#include <type_traits>

#include "../ptx/operand.cuh"
#include "attention_block.cuh"
#include "attention_wgmma.h"

namespace magnets::cuda {

constexpr int kWgmmaAttentionThreads = 128;

/// Rows of 64 elements, swizzled by TMA.
template <class T>
struct WgmmaAttentionShared {
  using Half = T[kWgmmaHalfKeys * kWgmmaHeadDim];
  T queries[kWgmmaQueries * kWgmmaHeadDim];  // and, in the end, what is mixed for them
  Half keys[2], values[2];
  uint64_t queries_here, keys_here[2], values_here[2];  // TMA has brought them
  uint64_t keys_read, values_read;                      // every warp has what it wants of them
};

/// 16 bytes of a row that TMA swizzled.
template <class T>
__device__ __forceinline__ T* swizzled_chunk_of(T* tile, int row, int chunk) {
  return tile + row * kWgmmaHeadDim + (chunk ^ row % 8) * 8;
}

/// A block: 64 rows of one branch and head.
template <class T>
__global__ void __launch_bounds__(kWgmmaAttentionThreads, 2)
    attention_wgmma_kernel(const __grid_constant__ AttentionMaps maps, const __grid_constant__ AttentionArguments a) {
  using Shared = WgmmaAttentionShared<T>;
  auto& shared = shared_as<Shared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, thread = lane % 4;
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&maps.q);
    prefetch_tensor_map(&maps.keys);
    prefetch_tensor_map(&maps.values);
    mbarrier_init(&shared.queries_here, 1);
    mbarrier_init(&shared.keys_read, kWgmmaAttentionThreads / 32);
    mbarrier_init(&shared.values_read, kWgmmaAttentionThreads / 32);
    for (int half = 0; half < 2; ++half) {
      mbarrier_init(&shared.keys_here[half], 1);
      mbarrier_init(&shared.values_here[half], 1);
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  wait_for_previous_grid();
  let_next_grid_start();

  const auto [head, first_row, rows, unit] = attention_block(a, kWgmmaQueries);
  if (rows <= 0) return;

  const auto load = [&](typename Shared::Half(&tile)[2], const CUtensorMap& map, uint64_t(&here)[2], int first) {
    for (int half = 0; half < 2; ++half) {
      mbarrier_arrive_expecting(&here[half], sizeof(tile[half]));
      tma_load_3d(tile[half], &map, &here[half], 0, first + half * kWgmmaHalfKeys, unit);
    }
  };
  if (threadIdx.x == 0) {
    mbarrier_arrive_expecting(&shared.queries_here, sizeof(shared.queries));
    tma_load(shared.queries, &maps.q, &shared.queries_here, head * kWgmmaHeadDim, first_row);
    load(shared.keys, maps.keys, shared.keys_here, 0);
    load(shared.values, maps.values, shared.values_here, 0);
  }

  const auto has_read = [&](uint64_t& barrier) {
    __syncwarp();
    if (lane == 0) mbarrier_arrive(&barrier);
  };

  const bool active = warp * 16 < rows;  // this warp has rows; wgmma wants all four warps, softmax does not
  constexpr int kHalfFragments = kWgmmaHalfKeys / 8, kFragments = 2 * kHalfFragments;
  float mixed[kWgmmaHeadDim / 2];  // [16 rows, 64] of the warp: fragments of 16 x 8, accumulators of its warpgroup
  // Of the two rows that a thread holds a part of: the largest score so far, the sum of this thread's powers.
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  mbarrier_wait(&shared.queries_here, 0);
  for (int first = 0, parity = 0; first < a.positions; first += kWgmmaKeys, parity ^= 1) {
    const int left = a.positions - first;
    const bool more = left > kWgmmaKeys;

    float score[2][kWgmmaHalfKeys / 2];  // [16 rows, 136 keys]: fragments of 16 x 8
    const auto fragment = [&](int k) { return score[k / kHalfFragments] + k % kHalfFragments * 4; };
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      mbarrier_wait(&shared.keys_here[half], parity);
      wgmma_fence();
#pragma unroll
      for (int d = 0; d < kWgmmaHeadDim / 16; ++d) {
        wgmma<T, kWgmmaHalfKeys>(score[half], k_major_operand(shared.queries, d), k_major_operand(shared.keys[half], d),
                                 d > 0);
      }
      wgmma_commit();
    }
    wgmma_wait<0>();
    wgmma_results(score[0]);
    wgmma_results(score[1]);
    has_read(shared.keys_read);
    if (more && threadIdx.x == 0) {
      mbarrier_wait(&shared.keys_read, parity);
      load(shared.keys, maps.keys, shared.keys_here, first + kWgmmaKeys);
    }

    float offset[2];
    if (active) {
      // Keys beyond the last are zeros, not nothing. Only 16 at the end of 272 are looked at where 256 are there.
      const auto leave_out = [&](auto begin, auto end) {
        if (left >= end * 8) return;
#pragma unroll
        for (int k = begin; k < end; ++k) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            if (k * 8 + thread * 2 + i % 2 >= left) fragment(k)[i] = -INFINITY;
          }
        }
      };
      leave_out(std::integral_constant<int, 0>(), std::integral_constant<int, kFragments - 2>());
      leave_out(std::integral_constant<int, kFragments - 2>(), std::integral_constant<int, kFragments>());
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = largest[half];
#pragma unroll
        for (int k = 0; k < kFragments; ++k) {
          most = fmaxf(most, fmaxf(fragment(k)[2 * half], fragment(k)[2 * half + 1]));
        }
        most = largest_of_row(most);
        offset[half] = most * a.scale;
        if (first > 0) {
          const float rescale = exp2_approximate((largest[half] - most) * a.scale);
          sum[half] *= rescale;
#pragma unroll
          for (int d = 0; d < kWgmmaHeadDim / 8; ++d) {
            mixed[d * 4 + 2 * half] *= rescale;
            mixed[d * 4 + 2 * half + 1] *= rescale;
          }
        }
        largest[half] = most;
      }
    }

    // Values in two parts, 16 keys a step: while the first are mixed, the powers of the others are computed. The parts
    // meet at a multiple of 16, so the second wants both halves.
    const auto mix = [&](auto part, auto begin, auto end) {
      if (active) {
#pragma unroll
        for (int k = 2 * begin; k < 2 * end; ++k) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            float& power = fragment(k)[i];
            power = exp2_approximate(power * a.scale - offset[i / 2]);
            sum[i / 2] += power;
          }
        }
      }
      uint32_t probability[end - begin][4];  // [16 rows, 16 keys]: left operands, laid out as the scores are
#pragma unroll
      for (int step = begin; step < end; ++step) {
        const float *low = fragment(2 * step), *high = fragment(2 * step + 1);
        uint32_t(&p)[4] = probability[step - begin];
        p[0] = pack<T>(low[0], low[1]), p[1] = pack<T>(low[2], low[3]);
        p[2] = pack<T>(high[0], high[1]), p[3] = pack<T>(high[2], high[3]);
      }
      mbarrier_wait(&shared.values_here[part], parity);
      wgmma_fence();
#pragma unroll
      for (int step = begin; step < end; ++step) {
        wgmma_of_registers<T>(mixed, probability[step - begin], n_major_operand(shared.values, step),
                              first > 0 || step > 0);
      }
      wgmma_commit();
    };
    constexpr int kFirstSteps = kHalfFragments / 2;
    mix(0, std::integral_constant<int, 0>(), std::integral_constant<int, kFirstSteps>());
    mix(1, std::integral_constant<int, kFirstSteps>(), std::integral_constant<int, kFragments / 2>());
    wgmma_wait<0>();
    wgmma_results(mixed);
    has_read(shared.values_read);
    if (more && threadIdx.x == 0) {
      mbarrier_wait(&shared.values_read, parity);
      load(shared.values, maps.values, shared.values_here, first + kWgmmaKeys);
    }
  }

  // The results take the queries' place, which no warp reads any more, to leave in whole lines.
  __syncthreads();
  if (!active) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float inverse = reciprocal_approximate(sum_of_row(sum[half]));
    const int row = warp * 16 + group + 8 * half;
#pragma unroll
    for (int d = 0; d < kWgmmaHeadDim / 8; ++d) {
      *reinterpret_cast<uint32_t*>(swizzled_chunk_of(shared.queries, row, d) + thread * 2) =
          pack<T>(mixed[d * 4 + 2 * half] * inverse, mixed[d * 4 + 2 * half + 1] * inverse);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * (kWgmmaHeadDim / 8); i += 32) {
    const int row = warp * 16 + i / (kWgmmaHeadDim / 8), chunk = i % (kWgmmaHeadDim / 8);
    if (row >= rows) continue;
    T* out = static_cast<T*>(a.out) + static_cast<size_t>(first_row + row) * a.out_stride;
    *reinterpret_cast<uint4*>(out + head * kWgmmaHeadDim + chunk * 8) =
        *reinterpret_cast<const uint4*>(swizzled_chunk_of(shared.queries, row, chunk));
  }
}

template <class T>
WgmmaAttentionKernel wgmma_attention_kernel() {
  return {attention_wgmma_kernel<T>, kWgmmaAttentionThreads, sizeof(WgmmaAttentionShared<T>)};
}

}  // namespace magnets::cuda
