// softmax(q Kᵀ / sqrt(head_dim)) V for the active rows alone, keys and values from the cache: online softmax in
// registers (FlashAttention-2, Dao 2023, algorithm 1), mma.sync m16n8k16, the next keys and values on their way by
// cp.async while these are multiplied. One launch for every row tile, head and branch; guidance halves are branches.
// Where blocks are few, the warps of a block share the keys of the same rows.
#pragma once

#include <ptx.cuh>
#include <type_traits>

#include "attention_block.cuh"

namespace magnets::cuda {

/// Of each group; after it, the rows of the queries.
template <class T, int kDim>
struct AttentionShared {
  T keys[2][kAttentionKeys * kAttentionStride<kDim>];    // [slot][keys, head_dim]
  T values[2][kAttentionKeys * kAttentionStride<kDim>];  // [slot][keys, head_dim]
};

/// A warp's online softmax over the keys of its group, for the warp of the first group that adds them up: a lane beside
/// the other.
template <int kDim>
struct PartialSoftmax {
  float mixed[kDim / 8][4][32];
  float largest[2][32], sum[2][32];
};

/// The first of `rows` rows of a matrix [rows, head_dim], at most `most`; zeros outside. Rows from the next multiple of
/// 16 on are left out: nobody reads them.
template <class T, int kDim>
__device__ __forceinline__ void load_tile(T* tile, int most, const T* matrix, size_t stride, int rows, int head_dim) {
  const int count = (rows < most ? (rows + 15) / 16 * 16 : most) * (kDim / 8);
#pragma unroll 4
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    const int row = i / (kDim / 8), chunk = i % (kDim / 8);
    const bool inside = row < rows && chunk * 8 < head_dim;
    copy_async(tile + row * kAttentionStride<kDim> + chunk * 8, inside ? matrix + row * stride + chunk * 8 : matrix,
               inside ? 16 : 0);
  }
}

/// A block: 16 rows for each warp of a group, of one branch and head; blockDim (threads of a group, groups).
template <class T, int kDim, int kMostGroups>
__global__ void __launch_bounds__(32 * (kMostGroups > 1 ? most_sharing_warps(kDim) : most_warps(kDim)),
                                  kMostGroups > 1 ? 1 : 2)
    attention_kernel(const __grid_constant__ AttentionArguments a) {
  const int block_rows = blockDim.x / 32 * 16, own_group = kMostGroups > 1 ? threadIdx.y : 0;
  const auto memory_of = [&](int group) {
    return reinterpret_cast<unsigned char*>(&shared_as<AttentionShared<T, kDim>>()) +
           group * attention_group_bytes(kDim, block_rows);
  };
  auto& shared = *reinterpret_cast<AttentionShared<T, kDim>*>(memory_of(own_group));
  T* query_tile = reinterpret_cast<T*>(&shared + 1);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, thread = lane % 4;
  wait_for_previous_grid();
  let_next_grid_start();

  const auto [head, first_row, rows, unit] = attention_block(a, block_rows);
  if (rows <= 0) return;
  const T* q = static_cast<const T*>(a.q) + static_cast<size_t>(first_row) * a.q_stride + head * a.head_dim;
  const size_t cached = static_cast<size_t>(unit) * a.positions * a.head_dim;

  const auto load_keys = [&](int first, int slot) {
    const size_t at = cached + static_cast<size_t>(first) * a.head_dim;
    const int left = a.positions - first;
    load_tile<T, kDim>(shared.keys[slot], kAttentionKeys, static_cast<const T*>(a.keys) + at, a.head_dim, left,
                       a.head_dim);
    load_tile<T, kDim>(shared.values[slot], kAttentionKeys, static_cast<const T*>(a.values) + at, a.head_dim, left,
                       a.head_dim);
    copy_async_commit();
  };
  load_tile<T, kDim>(query_tile, block_rows, q, a.q_stride, rows, a.head_dim);
  load_keys(own_group * kAttentionKeys, 0);

  uint32_t query[kDim / 16][4];   // [16 rows, kDim] of the warp: fragments of 16 x 16, left operands
  float mixed[kDim / 8][4] = {};  // [16 rows, kDim]: fragments of 16 x 8, accumulators
  // Of the two rows that a thread holds a part of: the largest score so far, the sum of this thread's powers.
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  const bool active = warp * 16 < rows;  // this warp has rows
  T* own_queries = query_tile + warp * 16 * kAttentionStride<kDim>;

  // Keys first .. + kAttentionKeys; whole: all of them are there, so that nothing but the last few keys pays for
  // asking.
  const auto attend = [&](int first, int slot, auto whole) {
    constexpr bool kWhole = decltype(whole)::value;
    const int left = a.positions - first;
    const T* key_tile = shared.keys[slot];
    const T* value_tile = shared.values[slot];
    float score[kAttentionKeys / 8][4] = {};  // [16 rows, 64 keys]: fragments of 16 x 8, accumulators
#pragma unroll
    for (int k = 0; k < kAttentionKeys / 16; ++k) {
      if (kWhole || k * 16 < left) {
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          uint32_t b[4];  // [16 keys, 16 of kDim]: two right operands of 8 keys
          const int row = k * 16 + lane % 8 + lane / 16 * 8;
          load_matrices(b, key_tile + row * kAttentionStride<kDim> + d * 16 + lane / 8 % 2 * 8);
          mma<T>(score[2 * k], query[d], b[0], b[1]);
          mma<T>(score[2 * k + 1], query[d], b[2], b[3]);
        }
      }
    }
    if constexpr (!kWhole) {
#pragma unroll
      for (int k = 0; k < kAttentionKeys / 8; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (k * 8 + thread * 2 + i % 2 >= left) score[k][i] = -INFINITY;
        }
      }
    }

#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = largest[half];
#pragma unroll
      for (int k = 0; k < kAttentionKeys / 8; ++k) {
        if (kWhole || k / 2 * 16 < left) most = fmaxf(most, fmaxf(score[k][2 * half], score[k][2 * half + 1]));
      }
      most = largest_of_row(most);
      const float rescale = exp2_approximate((largest[half] - most) * a.scale);
      largest[half] = most;
      const float offset = most * a.scale;
      float powers = 0.0f;
#pragma unroll
      for (int k = 0; k < kAttentionKeys / 8; ++k) {
        if (!kWhole && k / 2 * 16 >= left) continue;
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          score[k][i] = exp2_approximate(score[k][i] * a.scale - offset);
          powers += score[k][i];
        }
      }
      sum[half] = sum[half] * rescale + powers;
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        mixed[d][2 * half] *= rescale;
        mixed[d][2 * half + 1] *= rescale;
      }
    }

    // Accumulators of the scores are laid out as the left operand of the next product.
#pragma unroll
    for (int k = 0; k < kAttentionKeys / 16; ++k) {
      if (kWhole || k * 16 < left) {
        const uint32_t probability[4] = {
            // [16 rows, 16 keys]: a left operand
            pack<T>(score[2 * k][0], score[2 * k][1]), pack<T>(score[2 * k][2], score[2 * k][3]),
            pack<T>(score[2 * k + 1][0], score[2 * k + 1][1]), pack<T>(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          uint32_t b[4];  // [16 keys, 16 of kDim]: two right operands of 8 columns
          load_matrices_transposed(b,
                                   value_tile + (k * 16 + lane % 16) * kAttentionStride<kDim> + d * 16 + lane / 16 * 8);
          mma<T>(mixed[2 * d], probability, b[0], b[1]);
          mma<T>(mixed[2 * d + 1], probability, b[2], b[3]);
        }
      }
    }
  };

  const auto meet = [&] {
    if constexpr (kMostGroups > 1) {
      barrier_sync(1 + own_group, blockDim.x);
    } else {
      __syncthreads();
    }
  };
  const int groups = kMostGroups > 1 ? blockDim.y : 1, step = groups * kAttentionKeys;
  for (int first = own_group * kAttentionKeys, slot = 0; first < a.positions; first += step, slot ^= 1) {
    if (first + step < a.positions) {
      load_keys(first + step, slot ^ 1);
      copy_async_wait<1>();
    } else {
      copy_async_wait<0>();
    }
    meet();
    if (active) {
      if (first < step) {
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          load_matrices(query[d], own_queries + lane % 16 * kAttentionStride<kDim> + d * 16 + lane / 16 * 8);
        }
      }
      if (first + kAttentionKeys <= a.positions) {
        attend(first, slot, std::true_type());
      } else {
        attend(first, slot, std::false_type());
      }
    }
    meet();  // the next load but one overwrites these keys
  }
  if constexpr (kMostGroups > 1) {
    copy_async_wait<0>();  // of a group without keys
    static_assert(most_sharing_warps(kDim) / 2 * sizeof(PartialSoftmax<kDim>) <= sizeof(shared));  // two groups or more
    if (own_group > 0) {  // in place of the keys
      auto& partial = reinterpret_cast<PartialSoftmax<kDim>*>(&shared)[warp];
#pragma unroll
      for (int i = 0; i < kDim / 2; ++i) partial.mixed[i / 4][i % 4][lane] = mixed[i / 4][i % 4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        partial.largest[half][lane] = largest[half];
        partial.sum[half][lane] = sum[half];
      }
    }
    __syncthreads();
    if (own_group > 0 || !active) return;
    for (int other = 1; other < groups; ++other) {
      const auto& partial = reinterpret_cast<const PartialSoftmax<kDim>*>(memory_of(other))[warp];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float most = fmaxf(largest[half], partial.largest[half][lane]);
        const float own_scale = exp2_approximate((largest[half] - most) * a.scale);
        const float scale = exp2_approximate((partial.largest[half][lane] - most) * a.scale);
        largest[half] = most;
        sum[half] = sum[half] * own_scale + partial.sum[half][lane] * scale;
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            mixed[d][i] = mixed[d][i] * own_scale + partial.mixed[d][i][lane] * scale;
          }
        }
      }
    }
  }
  // The queries are in registers: the results take their place, to leave in whole lines.
  if (!active) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float inverse = reciprocal_approximate(sum_of_row(sum[half]));
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
      *reinterpret_cast<uint32_t*>(own_queries + (group + 8 * half) * kAttentionStride<kDim> + d * 8 + thread * 2) =
          pack<T>(mixed[d][2 * half] * inverse, mixed[d][2 * half + 1] * inverse);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * (kDim / 8); i += 32) {
    const int row = i / (kDim / 8), chunk = i % (kDim / 8);
    if (warp * 16 + row >= rows || chunk * 8 >= a.head_dim) continue;
    T* out = static_cast<T*>(a.out) + static_cast<size_t>(first_row + warp * 16 + row) * a.out_stride;
    *reinterpret_cast<uint4*>(out + head * a.head_dim + chunk * 8) =
        *reinterpret_cast<const uint4*>(own_queries + row * kAttentionStride<kDim> + chunk * 8);
  }
}

template <class T, int kDim>
AttentionKernel attention_kernel_for(bool shared_keys) {
  return shared_keys ? attention_kernel<T, kDim, most_groups(kDim)> : attention_kernel<T, kDim, 1>;
}

}  // namespace magnets::cuda
