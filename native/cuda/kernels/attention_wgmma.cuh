#pragma once

#include <type_traits>

#include "../ptx/operand.cuh"
#include "attention_wgmma.h"

namespace magnets::cuda {

template <class T>
struct WgmmaAttentionShared {
  T queries[kWgmmaQueries * kWgmmaHeadDim];
  T keys[2][kWgmmaHalfKeys * kWgmmaHeadDim], values[2][kWgmmaHalfKeys * kWgmmaHeadDim];
  uint64_t queries_here, keys_here[2], values_here[2];
};

template <class T>
__global__ void __launch_bounds__(128, 2)
    attention_wgmma_kernel(const __grid_constant__ AttentionMaps maps, const __grid_constant__ AttentionArguments a) {
  auto& shared = shared_as<WgmmaAttentionShared<T>>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, thread = lane % 4;
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&maps.q);
    prefetch_tensor_map(&maps.keys);
    prefetch_tensor_map(&maps.values);
    mbarrier_init(&shared.queries_here, 1);
    for (int half = 0; half < 2; ++half) {
      mbarrier_init(&shared.keys_here[half], 1);
      mbarrier_init(&shared.values_here[half], 1);
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  wait_for_previous_grid();
  let_next_grid_start();
  const int head = blockIdx.y, branch = blockIdx.z;
  const int first_row = a.row_offsets[branch] + blockIdx.x * kWgmmaQueries;
  const int rows = a.row_offsets[branch + 1] - first_row;
  if (rows <= 0) return;
  const auto load = [&](T (&tile)[2][kWgmmaHalfKeys * kWgmmaHeadDim], const CUtensorMap& map, uint64_t (&here)[2], int first) {
    for (int half = 0; half < 2; ++half) {
      mbarrier_arrive_expecting(&here[half], sizeof(tile[half]));
      tma_load_3d(tile[half], &map, &here[half], 0, first + half * kWgmmaHalfKeys, branch * a.cache_heads + head);
    }
  };
  if (threadIdx.x == 0) {
    mbarrier_arrive_expecting(&shared.queries_here, sizeof(shared.queries));
    tma_load(shared.queries, &maps.q, &shared.queries_here, head * kWgmmaHeadDim, first_row);
    load(shared.keys, maps.keys, shared.keys_here, 0);
    load(shared.values, maps.values, shared.values_here, 0);
  }
  const bool active = warp * 16 < rows;
  constexpr int kHalfGroups = kWgmmaHalfKeys / 8, kGroups = 2 * kHalfGroups;
  float mixed[kWgmmaHeadDim / 2];
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  mbarrier_wait(&shared.queries_here, 0);
  for (int first = 0, parity = 0; first < a.positions; first += kWgmmaKeys, parity ^= 1) {
    const int left = a.positions - first;
    float score[2][kWgmmaHalfKeys / 2];
    const auto at = [&](int g) { return score[g / kHalfGroups] + g % kHalfGroups * 4; };
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      mbarrier_wait(&shared.keys_here[half], parity);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kWgmmaHeadDim / 16; ++k) {
        wgmma<T, kWgmmaHalfKeys>(score[half], k_major_operand(shared.queries, k), k_major_operand(shared.keys[half], k), k > 0);
      }
      wgmma_commit();
    }
    wgmma_wait<0>();
    wgmma_results(score[0]);
    wgmma_results(score[1]);
    __syncthreads();
    const bool more = left > kWgmmaKeys;
    if (more && threadIdx.x == 0) load(shared.keys, maps.keys, shared.keys_here, first + kWgmmaKeys);

    float offset[2];
    if (active) {
      const auto mask = [&](int begin, int end) {
        if (left >= end * 8) return;
#pragma unroll
        for (int g = begin; g < end; ++g) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            if (g * 8 + thread * 2 + i % 2 >= left) at(g)[i] = -INFINITY;
          }
        }
      };
      mask(0, 16);
      mask(16, 32);
      mask(32, 34);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = largest[half];
#pragma unroll
        for (int g = 0; g < kGroups; ++g) most = fmaxf(most, fmaxf(at(g)[2 * half], at(g)[2 * half + 1]));
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
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
    const auto mix = [&](auto part, auto begin_step, auto end_step) {
      constexpr int kBegin = decltype(begin_step)::value, kEnd = decltype(end_step)::value;
      if (active) {
#pragma unroll
        for (int g = 2 * kBegin; g < 2 * kEnd; ++g) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            at(g)[i] = exp2_approximate(at(g)[i] * a.scale - offset[i / 2]);
            sum[i / 2] += at(g)[i];
          }
        }
      }
      uint32_t probability[kEnd - kBegin][4];
#pragma unroll
      for (int step = kBegin; step < kEnd; ++step) {
        auto& p = probability[step - kBegin];
        const float *low = at(2 * step), *high = at(2 * step + 1);
        p[0] = pack<T>(low[0], low[1]), p[1] = pack<T>(low[2], low[3]);
        p[2] = pack<T>(high[0], high[1]), p[3] = pack<T>(high[2], high[3]);
      }
      mbarrier_wait(&shared.values_here[part], parity);
      wgmma_fence();
#pragma unroll
      for (int step = kBegin; step < kEnd; ++step) {
        wgmma_of_registers<T>(mixed, probability[step - kBegin], n_major_operand(shared.values, step), first > 0 || step > 0);
      }
      wgmma_commit();
    };
    using std::integral_constant;
    mix(integral_constant<int, 0>(), integral_constant<int, 0>(), integral_constant<int, 8>());
    mix(integral_constant<int, 1>(), integral_constant<int, 8>(), integral_constant<int, 17>());
    wgmma_wait<0>();
    wgmma_results(mixed);
    if (more) {
      __syncthreads();
      if (threadIdx.x == 0) load(shared.values, maps.values, shared.values_here, first + kWgmmaKeys);
    }
  }
  if (!active) return;
  const auto chunk_of = [&](int row, int chunk) { return shared.queries + row * kWgmmaHeadDim + (chunk ^ row % 8) * 8; };
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float all = sum[half];
    all += __shfl_xor_sync(~0u, all, 1);
    all += __shfl_xor_sync(~0u, all, 2);
    const float inverse = reciprocal_approximate(all);
#pragma unroll
    for (int d = 0; d < kWgmmaHeadDim / 8; ++d) {
      *reinterpret_cast<uint32_t*>(chunk_of(warp * 16 + group + 8 * half, d) + thread * 2) =
          pack<T>(mixed[d * 4 + 2 * half] * inverse, mixed[d * 4 + 2 * half + 1] * inverse);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * 8; i += 32) {
    const int row = warp * 16 + i / 8, chunk = i % 8;
    if (row >= rows) continue;
    T* out = static_cast<T*>(a.out) + static_cast<size_t>(first_row + row) * a.out_stride;
    *reinterpret_cast<uint4*>(out + head * kWgmmaHeadDim + chunk * 8) = *reinterpret_cast<const uint4*>(chunk_of(row, chunk));
  }
}

template <class T>
WgmmaAttentionKernel wgmma_attention_kernel() {
  return {attention_wgmma_kernel<T>, 128, sizeof(WgmmaAttentionShared<T>)};
}

}  // namespace magnets::cuda
