// Matrix products by mma.sync m16n8k16, for every device from sm_80: tiles of x and W come in by cp.async, some steps
// of 64 inputs ahead, into rows of 128 bytes whose 16-byte chunks are xored with the row, so that ldmatrix meets no
// bank twice.
#pragma once

#include "epilogue.cuh"
#include "mma.h"

namespace magnets::cuda {

template <class T, int kRows, int kColumns, int kStages>
struct MmaShared {
  T x[kStages][kRows * kMatmulStep];          // [stage][rows, 64 inputs], chunks swizzled
  T weight[kStages][kColumns * kMatmulStep];  // [stage][columns, 64 inputs], chunks swizzled
  alignas(16) float bias[kColumns];
  bool last;  // this block's ticket was the last of its tile
};

/// Element 8 * chunk of a row of a tile.
__device__ __forceinline__ int mma_swizzled(int row, int chunk) {
  return row * kMatmulStep + ((chunk ^ (row & 7)) << 3);
}

/// Rows first_row .. + kRows and inputs first_in .. + kMatmulStep of a matrix [rows, in]; zeros outside.
template <class T, int kRows, int kThreads>
__device__ __forceinline__ void load_mma_tile(T* tile, const T* matrix, int stride, int first_row, int rows,
                                              int first_in, int in) {
#pragma unroll
  for (int i = threadIdx.x; i < kRows * 8; i += kThreads) {
    const int row = i / 8, chunk = i % 8;
    const int left = first_row + row < rows ? in - first_in - chunk * 8 : 0;
    const int count = left <= 0 ? 0 : left < 8 ? left : 8;
    const T* source =
        count > 0 ? matrix + static_cast<size_t>(first_row + row) * stride + first_in + chunk * 8 : matrix;
    copy_async(tile + mma_swizzled(row, chunk), source, count * static_cast<int>(sizeof(T)));
  }
}

/// The taps and inputs of one step after the other.
struct MmaCursor {
  int tap, first_in;
  __device__ __forceinline__ MmaCursor(const MatmulProblem& m, int step)
      : tap(step / tap_steps(m)), first_in(step % tap_steps(m) * kMatmulStep) {}
  __device__ __forceinline__ void advance(const MatmulProblem& m) {
    first_in += kMatmulStep;
    if (first_in >= m.in) ++tap, first_in = 0;
  }
};

/// kWarpRows x kWarpColumns warps share a tile of kRows x kColumns outputs.
template <class T, int kRows, int kColumns, int kWarpRows, int kWarpColumns, int kStages>
__global__ void __launch_bounds__(kWarpRows* kWarpColumns * 32)
    matmul_mma_kernel(const __grid_constant__ MatmulProblem m) {
  constexpr int kThreads = kWarpRows * kWarpColumns * 32;
  constexpr int kRowFragments = kRows / kWarpRows / 16;          // of 16 rows
  constexpr int kColumnFragments = kColumns / kWarpColumns / 8;  // of 8 columns
  auto& shared = shared_as<MmaShared<T, kRows, kColumns, kStages>>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warp_row = warp / kWarpColumns * (kRows / kWarpRows);
  const int warp_column = warp % kWarpColumns * (kColumns / kWarpColumns);
  const int first_column = blockIdx.x * kColumns, first_row = blockIdx.y * kRows;
  const int product = blockIdx.z / m.splits, split = blockIdx.z % m.splits;
  const T* x = static_cast<const T*>(m.x);
  const T* weight = static_cast<const T*>(m.product[product].weight);

  const int all_steps = m.taps * tap_steps(m);
  const int first_step = all_steps * split / m.splits, last_step = all_steps * (split + 1) / m.splits;
  MmaCursor x_cursor(m, first_step), weight_cursor = x_cursor;  // steps are loaded in their order
  const auto load_x = [&](int step) {
    load_mma_tile<T, kRows, kThreads>(shared.x[(step - first_step) % kStages], x, m.x_stride,
                                      first_row + m.tap_rows[x_cursor.tap], m.x_rows, x_cursor.first_in, m.in);
    x_cursor.advance(m);
  };
  const auto load_weight = [&](int step) {
    load_mma_tile<T, kColumns, kThreads>(shared.weight[(step - first_step) % kStages],
                                         weight + weight_cursor.tap * m.in, m.weight_stride, first_column, m.out,
                                         weight_cursor.first_in, m.in);
    weight_cursor.advance(m);
  };

  const MatmulOutput<T> output{m, product};

  // Weights do not depend on the grid before: the first of them come in while it ends.
  for (int i = threadIdx.x; i < kColumns; i += kThreads) shared.bias[i] = output.bias(first_column + i);
  for (int step = first_step; step < first_step + kStages - 1 && step < last_step; ++step) load_weight(step);
  wait_for_previous_grid();
  let_next_grid_start();
  for (int step = first_step; step < first_step + kStages - 1; ++step) {
    if (step < last_step) load_x(step);
    copy_async_commit();
  }

  float sums[kRowFragments][kColumnFragments][4] = {};  // [rows, columns] of the warp: fragments of 16 x 8
  for (int step = first_step; step < last_step; ++step) {
    copy_async_wait<kStages - 2>();
    __syncthreads();  // this step's tiles are there, and nobody reads those of the step before any more
    if (step + kStages - 1 < last_step) {
      load_x(step + kStages - 1);
      load_weight(step + kStages - 1);
    }
    copy_async_commit();

    const T* x_tile = shared.x[(step - first_step) % kStages];
    const T* weight_tile = shared.weight[(step - first_step) % kStages];
#pragma unroll
    for (int k = 0; k < kMatmulStep / 16; ++k) {
      uint32_t a[kRowFragments][4];         // [rows, 16 inputs]: fragments of 16 x 16
      uint32_t b[kColumnFragments / 2][4];  // [columns, 16 inputs]: two fragments of 8 x 16 each
#pragma unroll
      for (int i = 0; i < kRowFragments; ++i) {
        load_matrices(a[i], x_tile + mma_swizzled(warp_row + i * 16 + lane % 16, k * 2 + lane / 16));
      }
#pragma unroll
      for (int j = 0; j < kColumnFragments / 2; ++j) {
        const int row = warp_column + j * 16 + lane % 8 + lane / 16 * 8;
        load_matrices(b[j], weight_tile + mma_swizzled(row, k * 2 + lane / 8 % 2));
      }
#pragma unroll
      for (int i = 0; i < kRowFragments; ++i) {
#pragma unroll
        for (int j = 0; j < kColumnFragments; ++j)
          mma<T>(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
  copy_async_wait<0>();

  if (m.splits > 1) {
    // Every block leaves its sums; the last to come adds them all up, always in the same order.
    constexpr int kSums = kRowFragments * kColumnFragments;  // float4s of a thread
    const int tile = (product * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    auto* partial = reinterpret_cast<float4*>(m.partial_sums) + static_cast<size_t>(tile) * m.splits * kSums * kThreads;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      const float(&v)[4] = sums[i / kColumnFragments][i % kColumnFragments];
      partial[(split * kSums + i) * kThreads + threadIdx.x] = float4{v[0], v[1], v[2], v[3]};
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      shared.last = atomic_add_acquire_release(&m.tickets[tile], 1) + 1 == static_cast<unsigned>(m.splits);
      if (shared.last) m.tickets[tile] = 0;
    }
    __syncthreads();
    if (!shared.last) return;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      float(&v)[4] = sums[i / kColumnFragments][i % kColumnFragments];
      v[0] = v[1] = v[2] = v[3] = 0.0f;
      for (int from = 0; from < m.splits; ++from) {
        const float4 part = partial[(from * kSums + i) * kThreads + threadIdx.x];
        v[0] += part.x, v[1] += part.y, v[2] += part.z, v[3] += part.w;
      }
    }
  }

  __syncthreads();  // nobody reads tiles any more: the sums of each warp take their place
  static_assert(kColumns / kWarpColumns == 32 && sizeof(shared.x) >= kThreads / 32 * 16 * 32 * sizeof(float));
  float* out_tile = reinterpret_cast<float*>(shared.x) + warp * 16 * 32;
#pragma unroll
  for (int i = 0; i < kRowFragments; ++i) {
    const int row = first_row + warp_row + i * 16;
    const auto rows = output.rows_at(row, output.row_index(row));
    const auto residual = output.residual(rows, first_column + warp_column);
#pragma unroll
    for (int j = 0; j < kColumnFragments; ++j) {
      output.put_fragment(out_tile, j, sums[i][j][0], sums[i][j][1], sums[i][j][2], sums[i][j][3]);
    }
    __syncwarp();
    output.store(out_tile, row, rows, first_column + warp_column, shared.bias + warp_column, residual);
    __syncwarp();
  }
}

template <class T, int kRows, int kColumns, int kWarpRows, int kWarpColumns, int kStages>
constexpr MmaKernel mma_kernel_of() {
  return {matmul_mma_kernel<T, kRows, kColumns, kWarpRows, kWarpColumns, kStages>, kWarpRows * kWarpColumns * 32,
          sizeof(MmaShared<T, kRows, kColumns, kStages>)};
}

template <class T>
MmaKernel mma_kernel(MmaTile tile) {
  switch (tile) {
    case MmaTile::large:
      return mma_kernel_of<T, 128, 128, 2, 4, 3>();
    case MmaTile::medium:
      return mma_kernel_of<T, 64, 64, 2, 2, 4>();
    default:
      return mma_kernel_of<T, 32, 64, 2, 2, 4>();
  }
}

}  // namespace magnets::cuda
