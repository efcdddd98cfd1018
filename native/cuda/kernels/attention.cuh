// softmax(q Kᵀ / sqrt(head_dim)) V for the active rows alone, keys and values from the cache: online softmax in
// registers (FlashAttention-2, Dao 2023, algorithm 1), mma.sync m16n8k16, the next keys and values on their way by
// cp.async while these are multiplied. One launch for every row tile, head and branch; guidance halves are branches.
// Where blocks are few, the warps of a block share the keys of the same rows.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "attention.h"
#include "cuda_stream.h"

namespace magnets::cuda {

namespace {

constexpr int kKeys = 64;  // at once
/// Of a block; two blocks have room on a multiprocessor. Larger heads want more registers.
constexpr int kMostWarps(int dim) { return dim <= 64 ? 8 : 4; }
/// Where blocks are few: groups of a block that share the keys of the same rows, and warps of each.
constexpr int kGroupWarps = 2;
constexpr int kMostGroups(int dim) { return kMostWarps(dim) / kGroupWarps; }

/// kDim: head_dim rounded up to what the tensor cores multiply; the rest is zeros. A row of a tile has an odd number of
/// 16-byte chunks, so the eight rows of a matrix that ldmatrix reads lie in eight different banks.
template <int kDim>
constexpr int kStride = (kDim / 8 | 1) * 8;

/// Of each group; after it, the rows of the queries.
template <class T, int kDim>
struct Shared {
  T keys[2][kKeys * kStride<kDim>];
  T values[2][kKeys * kStride<kDim>];
};

template <class T, int kDim>
constexpr size_t bytes_of_group(int rows) {
  return sizeof(Shared<T, kDim>) + sizeof(T) * rows * kStride<kDim>;
}

/// What a warp of another group than the first has found, a lane beside the other.
template <int kDim>
struct Found {
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
    copy_async(tile + row * kStride<kDim> + chunk * 8, inside ? matrix + row * stride + chunk * 8 : matrix,
               inside ? 16 : 0);
  }
}

/// A block: 16 rows for each warp of a group, of one branch and head; blockDim (threads of a group, groups).
template <class T, int kDim, int kGroups>
__global__ void __launch_bounds__(32 * kMostWarps(kDim), kGroups > 1 ? 1 : 2)
    attention_kernel(const __grid_constant__ Attention a) {
  const int block_rows = blockDim.x / 32 * 16, own_group = kGroups > 1 ? threadIdx.y : 0;
  const auto memory_of = [&](int group) {
    return reinterpret_cast<unsigned char*>(&shared_as<Shared<T, kDim>>()) +
           group * bytes_of_group<T, kDim>(block_rows);
  };
  auto& shared = *reinterpret_cast<Shared<T, kDim>*>(memory_of(own_group));
  T* query_tile = reinterpret_cast<T*>(&shared + 1);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, thread = lane % 4;
  const int head = blockIdx.y, branch = blockIdx.z;
  wait_for_previous_grid();
  let_next_grid_start();

  const int first_row = a.row_start[branch] + blockIdx.x * block_rows;
  const int rows = a.row_start[branch + 1] - first_row;
  if (rows <= 0) return;
  const T* q = static_cast<const T*>(a.q) + static_cast<size_t>(first_row) * a.q_stride + head * a.head_dim;
  const size_t cached = (static_cast<size_t>(branch) * a.cache_heads + head) * a.positions * a.head_dim;

  const auto load_keys = [&](int first, int slot) {
    const size_t at = cached + static_cast<size_t>(first) * a.head_dim;
    const int left = a.positions - first;
    load_tile<T, kDim>(shared.keys[slot], kKeys, static_cast<const T*>(a.keys) + at, a.head_dim, left, a.head_dim);
    load_tile<T, kDim>(shared.values[slot], kKeys, static_cast<const T*>(a.values) + at, a.head_dim, left, a.head_dim);
    copy_async_commit();
  };
  load_tile<T, kDim>(query_tile, block_rows, q, a.q_stride, rows, a.head_dim);
  load_keys(own_group * kKeys, 0);

  uint32_t query[kDim / 16][4];
  float mixed[kDim / 8][4] = {};
  // Of the two rows that a thread holds a part of: the largest score so far, the sum of this thread's powers.
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  const bool active = warp * 16 < rows;  // this warp has rows
  T* own_queries = query_tile + warp * 16 * kStride<kDim>;

  // Keys first .. + kKeys; whole: all of them are there, so that nothing but the last few keys pays for asking.
  const auto attend = [&](int first, int slot, auto whole) {
    constexpr bool kWhole = decltype(whole)::value;
    const int left = a.positions - first;
    const T* key_tile = shared.keys[slot];
    const T* value_tile = shared.values[slot];
    float score[kKeys / 8][4] = {};
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      if (kWhole || k * 16 < left) {
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          uint32_t b[4];
          const int row = k * 16 + lane % 8 + lane / 16 * 8;
          load_matrices(b, key_tile + row * kStride<kDim> + d * 16 + lane / 8 % 2 * 8);
          mma<T>(score[2 * k], query[d], b[0], b[1]);
          mma<T>(score[2 * k + 1], query[d], b[2], b[3]);
        }
      }
    }
    if constexpr (!kWhole) {
#pragma unroll
      for (int k = 0; k < kKeys / 8; ++k) {
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
      for (int k = 0; k < kKeys / 8; ++k) {
        if (kWhole || k / 2 * 16 < left) most = fmaxf(most, fmaxf(score[k][2 * half], score[k][2 * half + 1]));
      }
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      const float rescale = exp2_approximate((largest[half] - most) * a.scale);
      largest[half] = most;
      const float offset = most * a.scale;
      float powers = 0.0f;
#pragma unroll
      for (int k = 0; k < kKeys / 8; ++k) {
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
    for (int k = 0; k < kKeys / 16; ++k) {
      if (kWhole || k * 16 < left) {
        const uint32_t probability[4] = {
            pack<T>(score[2 * k][0], score[2 * k][1]), pack<T>(score[2 * k][2], score[2 * k][3]),
            pack<T>(score[2 * k + 1][0], score[2 * k + 1][1]), pack<T>(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          uint32_t b[4];
          load_matrices_transposed(b, value_tile + (k * 16 + lane % 16) * kStride<kDim> + d * 16 + lane / 16 * 8);
          mma<T>(mixed[2 * d], probability, b[0], b[1]);
          mma<T>(mixed[2 * d + 1], probability, b[2], b[3]);
        }
      }
    }
  };

  const auto meet = [&] {
    if constexpr (kGroups > 1) {
      barrier_sync(1 + own_group, blockDim.x);
    } else {
      __syncthreads();
    }
  };
  constexpr int kStep = kGroups * kKeys;
  for (int first = own_group * kKeys, slot = 0; first < a.positions; first += kStep, slot ^= 1) {
    if (first + kStep < a.positions) {
      load_keys(first + kStep, slot ^ 1);
      copy_async_wait<1>();
    } else {
      copy_async_wait<0>();
    }
    meet();
    if (active) {
      if (first < kStep) {
#pragma unroll
        for (int d = 0; d < kDim / 16; ++d) {
          load_matrices(query[d], own_queries + lane % 16 * kStride<kDim> + d * 16 + lane / 16 * 8);
        }
      }
      if (first + kKeys <= a.positions) {
        attend(first, slot, std::true_type());
      } else {
        attend(first, slot, std::false_type());
      }
    }
    meet();  // the next load but one overwrites these keys
  }
  if constexpr (kGroups > 1) {
    copy_async_wait<0>();  // of a group without keys
    static_assert(kGroupWarps * sizeof(Found<kDim>) <= sizeof(shared));
    if (own_group > 0) {  // in place of the keys
      auto& found = reinterpret_cast<Found<kDim>*>(&shared)[warp];
#pragma unroll
      for (int i = 0; i < kDim / 2; ++i) found.mixed[i / 4][i % 4][lane] = mixed[i / 4][i % 4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        found.largest[half][lane] = largest[half];
        found.sum[half][lane] = sum[half];
      }
    }
    __syncthreads();
    if (own_group > 0 || !active) return;
    for (int other = 1; other < kGroups; ++other) {
      const auto& found = reinterpret_cast<const Found<kDim>*>(memory_of(other))[warp];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float most = fmaxf(largest[half], found.largest[half][lane]);
        const float own_scale = exp2_approximate((largest[half] - most) * a.scale);
        const float scale = exp2_approximate((found.largest[half][lane] - most) * a.scale);
        largest[half] = most;
        sum[half] = sum[half] * own_scale + found.sum[half][lane] * scale;
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            mixed[d][i] = mixed[d][i] * own_scale + found.mixed[d][i][lane] * scale;
          }
        }
      }
    }
  }
  // The queries are in registers: the results take their place, to leave in whole lines.
  if (!active) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float all = sum[half];
    all += __shfl_xor_sync(~0u, all, 1);
    all += __shfl_xor_sync(~0u, all, 2);
    const float inverse = reciprocal_approximate(all);
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
      *reinterpret_cast<uint32_t*>(own_queries + (group + 8 * half) * kStride<kDim> + d * 8 + thread * 2) =
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
        *reinterpret_cast<const uint4*>(own_queries + row * kStride<kDim> + chunk * 8);
  }
}

/// Blocks that share the rows evenly: as few as their warps allow, or more, of groups, where multiprocessors would be
/// idle.
template <class T, int kDim>
AttentionKernel kernel_of(int most_rows, int heads, int multiprocessors) {
  const int warps = divide_up(most_rows, 16);
  const int few = divide_up(warps, kMostWarps(kDim)), many = divide_up(warps, kGroupWarps);
  const bool grouped = few * heads < multiprocessors;
  const int blocks = grouped ? many : few;
  const int block_warps = divide_up(warps, blocks), rows = block_warps * 16;
  const int groups = grouped ? kMostGroups(kDim) : 1;
  return {grouped ? attention_kernel<T, kDim, kMostGroups(kDim)> : attention_kernel<T, kDim, 1>, rows,
          dim3(block_warps * 32, groups), groups * bytes_of_group<T, kDim>(rows)};
}

template <class T, class... Sizes>
AttentionKernel kernel_for(int head_dim, Sizes... sizes) {
  if (head_dim <= 16) return kernel_of<T, 16>(sizes...);
  if (head_dim <= 32) return kernel_of<T, 32>(sizes...);
  if (head_dim <= 64) return kernel_of<T, 64>(sizes...);
  if (head_dim <= 80) return kernel_of<T, 80>(sizes...);
  if (head_dim <= 96) return kernel_of<T, 96>(sizes...);
  return kernel_of<T, 128>(sizes...);
}

}  // namespace

AttentionKernel attention_kernel_for(int head_dim, int most_rows, int heads, int multiprocessors, DType dtype) {
  return dtype == DType::f16 ? kernel_for<f16>(head_dim, most_rows, heads, multiprocessors)
                             : kernel_for<bf16>(head_dim, most_rows, heads, multiprocessors);
}

void CudaStream::attention(const Buffer& q, const Rows& rows, int layer, const KvCache& cache, int heads, int head_dim,
                           Part part, Buffer& out) {
  int most_rows = 0;
  for (int branch = 0; branch < rows.branches(); ++branch) {
    const int own = rows.start[branch + 1] - rows.start[branch];
    if (own > most_rows) most_rows = own;
  }
  if (most_rows == 0) return;
  const CudaKvCache& store = cuda(cache);
  const Attention arguments{
      .q = cuda(q).as<void>(),
      .q_stride = cuda(q).stride(),
      .row_start = constants(rows.start),
      .keys = store.keys(layer),
      .values = store.values(layer),
      .positions = store.positions(),
      .cache_heads = store.heads(),
      .head_dim = head_dim,
      .scale = 1.44269504f / std::sqrt(static_cast<float>(head_dim)),
      .out = cuda(out).as<void>(),
      .out_stride = cuda(out).stride(),
  };
  const AttentionKernel kernel =
      attention_kernel_for(head_dim, most_rows, heads * rows.branches(), device_->multiprocessors(), dtype_);
  launch(kernel.function, grid_of(divide_up(most_rows, kernel.rows), heads, rows.branches()), kernel.threads,
         kernel.shared, arguments);
  flops.add(part, uint64_t{4} * rows.count() * heads * head_dim * store.positions());
}

}  // namespace magnets::cuda
