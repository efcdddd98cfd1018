// Attention like that of attention.cuh for heads of up to 512: a block has 16 rows, its warps share the keys of a tile
// for the scores, then each mixes columns of its own. Keys come in while values are mixed, and the other way round.
#pragma once

#include <ptx.cuh>

#include "attention_block.cuh"

namespace magnets::cuda {

constexpr int kWideColumns = kMostWideHeadDim / kWideWarps;  // of a warp

/// Elements [rows, head_dim] of each; zeros from head_dim to the next multiple of 16.
template <class T>
struct WideTiles {
  T *query, *keys, *values;
  float* scores;  // [rows, keys]
};

template <class T>
__device__ __forceinline__ WideTiles<T> wide_tiles(int head_dim) {
  T* query = &shared_as<T>();
  T* keys = query + kWideRows * wide_stride(head_dim);
  T* values = keys + kWideKeys * wide_stride(head_dim);
  return {query, keys, values, reinterpret_cast<float*>(values + kWideKeys * wide_stride(head_dim))};
}

/// The first of `rows` rows of a matrix [rows, head_dim], at most `most`; zeros outside.
template <class T>
__device__ __forceinline__ void load_wide_tile(T* tile, int most, const T* matrix, size_t stride, int rows,
                                               int head_dim) {
  const int chunks = (head_dim + 15) / 16 * 2;
  for (int i = threadIdx.x; i < most * chunks; i += kWideWarps * 32) {
    const int row = i / chunks, chunk = i % chunks;
    const bool inside = row < rows && chunk * 8 < head_dim;
    copy_async(tile + row * wide_stride(head_dim) + chunk * 8, inside ? matrix + row * stride + chunk * 8 : matrix,
               inside ? 16 : 0);
  }
}

template <class T>
__global__ void __launch_bounds__(kWideWarps * 32) wide_attention_kernel(const __grid_constant__ AttentionArguments a) {
  const WideTiles<T> tiles = wide_tiles<T>(a.head_dim);
  const int stride = wide_stride(a.head_dim), steps = (a.head_dim + 15) / 16;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, thread = lane % 4;
  wait_for_previous_grid();
  let_next_grid_start();

  const auto [head, first_row, rows, unit] = attention_block(a, kWideRows);
  if (rows <= 0) return;
  const T* q = static_cast<const T*>(a.q) + static_cast<size_t>(first_row) * a.q_stride + head * a.head_dim;
  const size_t cached = static_cast<size_t>(unit) * a.positions * a.head_dim;
  const auto load = [&](T* tile, const void* cache, int first) {
    if (first < a.positions) {
      load_wide_tile(tile, kWideKeys, static_cast<const T*>(cache) + cached + static_cast<size_t>(first) * a.head_dim,
                     a.head_dim, a.positions - first, a.head_dim);
    }
    copy_async_commit();  // without keys an empty group, so that the waits below count the same
  };
  load_wide_tile(tiles.query, kWideRows, q, a.q_stride, rows, a.head_dim);
  load(tiles.keys, a.keys, 0);
  load(tiles.values, a.values, 0);

  const int first_column = warp * kWideColumns;
  float mixed[kWideColumns / 8][4] = {};  // [16 rows, columns of the warp]: fragments of 16 x 8, accumulators
  // Of the two rows that a thread holds a part of, like those of attention.cuh; the same in every warp.
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  for (int first = 0; first < a.positions; first += kWideKeys) {
    copy_async_wait<1>();
    __syncthreads();    // the keys are there
    float own[4] = {};  // [16 rows, 8 keys of the warp]
    for (int step = 0; step < steps; ++step) {
      uint32_t query[4], b[4];  // [16 rows, 16 of head_dim], [8 keys, 16 of head_dim] twice
      load_matrices(query, tiles.query + lane % 16 * stride + step * 16 + lane / 16 * 8);
      load_matrices(b, tiles.keys + (warp * 8 + lane % 8) * stride + step * 16 + lane / 8 % 2 * 8);
      mma<T>(own, query, b[0], b[1]);
    }
    float* score = tiles.scores + group * kWideScoreStride + warp * 8 + thread * 2;
    *reinterpret_cast<float2*>(score) = float2{own[0], own[1]};
    *reinterpret_cast<float2*>(score + 8 * kWideScoreStride) = float2{own[2], own[3]};
    __syncthreads();  // all scores are there, and nobody reads the keys any more
    load(tiles.keys, a.keys, first + kWideKeys);

    float power[kWideKeys / 16][2][4];  // [16 keys][row][key thread * 2, + 1, + 8, + 9]
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = largest[half];
#pragma unroll
      for (int k = 0; k < kWideKeys / 16; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = k * 16 + thread * 2 + i % 2 + i / 2 * 8;
          const float value = tiles.scores[(group + 8 * half) * kWideScoreStride + key];
          power[k][half][i] = first + key < a.positions ? value : -INFINITY;
          most = fmaxf(most, power[k][half][i]);
        }
      }
      most = largest_of_row(most);
      const float rescale = exp2_approximate((largest[half] - most) * a.scale), offset = most * a.scale;
      largest[half] = most;
      float powers = 0.0f;
#pragma unroll
      for (int k = 0; k < kWideKeys / 16; ++k) {
#pragma unroll
        for (float& value : power[k][half]) {
          value = exp2_approximate(value * a.scale - offset);
          powers += value;
        }
      }
      sum[half] = sum[half] * rescale + powers;
#pragma unroll
      for (int d = 0; d < kWideColumns / 8; ++d) {
        mixed[d][2 * half] *= rescale;
        mixed[d][2 * half + 1] *= rescale;
      }
    }

    copy_async_wait<1>();
    __syncthreads();  // the values are there
#pragma unroll
    for (int k = 0; k < kWideKeys / 16; ++k) {
      const float(&p)[2][4] = power[k];
      const uint32_t probability[4] = {pack<T>(p[0][0], p[0][1]), pack<T>(p[1][0], p[1][1]), pack<T>(p[0][2], p[0][3]),
                                       pack<T>(p[1][2], p[1][3])};
#pragma unroll
      for (int d = 0; d < kWideColumns / 16; ++d) {
        if (first_column + d * 16 >= a.head_dim) continue;
        uint32_t b[4];  // [16 keys, 16 of head_dim]: two right operands of 8 columns
        load_matrices_transposed(b,
                                 tiles.values + (k * 16 + lane % 16) * stride + first_column + d * 16 + lane / 16 * 8);
        mma<T>(mixed[2 * d], probability, b[0], b[1]);
        mma<T>(mixed[2 * d + 1], probability, b[2], b[3]);
      }
    }
    __syncthreads();  // nobody reads the values and the scores any more
    load(tiles.values, a.values, first + kWideKeys);
  }
  copy_async_wait<0>();

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float inverse = reciprocal_approximate(sum_of_row(sum[half]));
    const int row = group + 8 * half;
    if (row >= rows) continue;
    T* out = static_cast<T*>(a.out) + static_cast<size_t>(first_row + row) * a.out_stride + head * a.head_dim;
#pragma unroll
    for (int d = 0; d < kWideColumns / 8; ++d) {
      const int column = first_column + d * 8;
      if (column >= a.head_dim) continue;
      *reinterpret_cast<uint32_t*>(out + column + thread * 2) =
          pack<T>(mixed[d][2 * half] * inverse, mixed[d][2 * half + 1] * inverse);
    }
  }
}

template <class T>
AttentionKernel wide_attention_kernel_for() {
  return wide_attention_kernel<T>;
}

}  // namespace magnets::cuda
