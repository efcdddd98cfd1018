// Matrix products on sm_90a: one warpgroup brings tiles in by TMA, two compute on them by wgmma, 64 rows each; blocks
// stay and take one tile of outputs after the other, so that the next tile's inputs come in while this one's sums go
// out.
#pragma once

#include "../ptx/operand.cuh"
#include "epilogue.cuh"
#include "wgmma.h"

namespace magnets::cuda {

constexpr int kConsumers = 2, kWgmmaThreads = 128 * (1 + kConsumers);
/// As many as shared memory has room for.
constexpr int kStages(int columns) { return columns == 128 ? 6 : 4; }
/// Narrow tiles are for few rows, where a product is short: the next grid's blocks get onto the device beside them.
constexpr int kBlocks(int columns) { return columns == 64 ? 2 : 1; }
constexpr int kOutColumns(int columns) { return columns == 64 ? 32 : 64; }  // that go out at once
constexpr int kRegisters(int columns) { return columns == 64 ? 96 : 232; }  // of a consumer

template <class T, int kColumns>
struct WgmmaShared {
  T x[kStages(kColumns)][kWgmmaRows * kWgmmaStep];     // [stage][128 rows, 64 inputs], swizzled by TMA
  T weight[kStages(kColumns)][kColumns * kWgmmaStep];  // [stage][columns, 64 inputs], swizzled by TMA
  alignas(16) float out_tile[4 * kConsumers][16 * kOutColumns(kColumns)];  // a warp's sums on their way out
  float bias[kConsumers][kColumns];
  uint64_t full[kStages(kColumns)], empty[kStages(kColumns)];
};

struct WgmmaTile {
  int product, row, column;
};

template <int kColumns>
__device__ __forceinline__ WgmmaTile wgmma_tile(const MatmulProblem& m, int index) {
  const int columns = (m.out + kColumns - 1) / kColumns, rows = (m.rows + kWgmmaRows - 1) / kWgmmaRows;
  return {index / (rows * columns), index / columns % rows * kWgmmaRows, index % columns * kColumns};
}

template <int kColumns>
__device__ __forceinline__ int wgmma_tiles(const MatmulProblem& m) {
  return (m.out + kColumns - 1) / kColumns * ((m.rows + kWgmmaRows - 1) / kWgmmaRows) * m.products;
}

/// What the producing thread does.
template <class T, int kColumns>
__device__ __forceinline__ void load_wgmma_tiles(WgmmaShared<T, kColumns>& shared, const WgmmaMaps& maps,
                                                 const MatmulProblem& m) {
  const int of_tap = tap_steps(m), steps = m.taps * of_tap;
  const auto load_weight = [&](const WgmmaTile& tile, int step, int stage) {
    mbarrier_arrive_expecting(&shared.full[stage], (kWgmmaRows + kColumns) * kWgmmaStep * static_cast<int>(sizeof(T)));
    tma_load(shared.weight[stage], &maps.weight[tile.product], &shared.full[stage],
             step / of_tap * m.in + step % of_tap * kWgmmaStep, tile.column);
  };
  const auto load_x = [&](const WgmmaTile& tile, int step, int stage) {
    tma_load(shared.x[stage], &maps.x, &shared.full[stage], step % of_tap * kWgmmaStep,
             tile.row + m.tap_rows[step / of_tap]);
  };

  // Weights do not depend on the grid before: the first of them come in while it ends.
  int early = 0;
  for (; early < steps && early < kStages(kColumns); ++early) {
    load_weight(wgmma_tile<kColumns>(m, blockIdx.x), early, early);
  }
  wait_for_previous_grid();
  let_next_grid_start();

  int stage = 0, parity = 1;  // the parity before a barrier's first phase counts as complete: all slots are empty
  for (int index = blockIdx.x; index < wgmma_tiles<kColumns>(m); index += gridDim.x) {
    const WgmmaTile tile = wgmma_tile<kColumns>(m, index);
    for (int step = 0; step < steps; ++step) {
      mbarrier_wait(&shared.empty[stage], parity);
      if (early > 0) {
        --early;
      } else {
        load_weight(tile, step, stage);
      }
      load_x(tile, step, stage);
      if (++stage == kStages(kColumns)) stage = 0, parity ^= 1;
    }
  }
}

/// The rows of one consumer warpgroup, of every tile of this block.
template <class T, int kColumns>
__device__ __forceinline__ void multiply_wgmma_tiles(WgmmaShared<T, kColumns>& shared, const MatmulProblem& m,
                                                     int consumer) {
  constexpr int kOut = kOutColumns(kColumns);
  using Output = MatmulOutput<T, kOut>;
  const int steps = m.taps * tap_steps(m);
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
  int stage = 0, parity = 0;
  for (int index = blockIdx.x; index < wgmma_tiles<kColumns>(m); index += gridDim.x) {
    const WgmmaTile tile = wgmma_tile<kColumns>(m, index);
    const Output output{m, tile.product};
    const int row = tile.row + consumer * 64 + warp * 16;
    const auto row_index = output.row_index(row);
    constexpr int kBiases = (kColumns + 127) / 128;  // of a thread
    float biases[kBiases];
#pragma unroll
    for (int i = 0; i < kBiases; ++i) biases[i] = output.bias(tile.column + i * 128 + thread);

    float sums[kColumns / 2];  // [16 rows, kColumns] of the warp: fragments of 16 x 8, accumulators of its warpgroup
    int before = -1;           // the stage whose reads may still be under way
    for (int step = 0; step < steps; ++step) {
      mbarrier_wait(&shared.full[stage], parity);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kWgmmaStep / 16; ++k) {
        wgmma<T, kColumns>(sums, k_major_operand(shared.x[stage] + consumer * 64 * kWgmmaStep, k),
                           k_major_operand(shared.weight[stage], k), step > 0 || k > 0);
      }
      wgmma_commit();
      if (step > 0) {
        wgmma_wait<1>();
        __syncwarp();
        if (lane == 0) mbarrier_arrive(&shared.empty[before]);
      }
      before = stage;
      if (++stage == kStages(kColumns)) stage = 0, parity ^= 1;
    }

    const auto rows = output.rows_at(row, row_index);
    auto residual = output.residual(rows, tile.column);
    barrier_sync(1 + consumer, 128);  // nobody reads the biases of the tile before any more
#pragma unroll
    for (int i = 0; i < kBiases; ++i) {
      if (kColumns >= 128 || thread < kColumns) shared.bias[consumer][i * 128 + thread] = biases[i];
    }
    barrier_sync(1 + consumer, 128);
    wgmma_wait<0>();
    wgmma_results(sums);
    __syncwarp();
    if (lane == 0) mbarrier_arrive(&shared.empty[before]);

    float* out_tile = shared.out_tile[consumer * 4 + warp];
#pragma unroll 1
    for (int first = 0; first < kColumns; first += kOut) {
      const auto next = first + kOut < kColumns ? output.residual(rows, tile.column + first + kOut) : residual;
#pragma unroll
      for (int part = 0; part < kColumns / kOut; ++part) {
        if (part * kOut != first) continue;  // registers have no index at run time
#pragma unroll
        for (int i = 0; i < kOut / 8; ++i) {
          const float* v = sums + (part * kOut / 8 + i) * 4;
          output.put_fragment(out_tile, i, v[0], v[1], v[2], v[3]);
        }
      }
      __syncwarp();
      output.store(out_tile, row, rows, tile.column + first, shared.bias[consumer] + first, residual);
      __syncwarp();
      residual = next;
    }
  }
}

template <class T, int kColumns>
__global__ void __launch_bounds__(kWgmmaThreads, kBlocks(kColumns))
    matmul_wgmma_kernel(const __grid_constant__ WgmmaMaps maps, const __grid_constant__ MatmulProblem m) {
  auto& shared = shared_as<WgmmaShared<T, kColumns>>();
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&maps.x);
    for (int stage = 0; stage < kStages(kColumns); ++stage) {
      mbarrier_init(&shared.full[stage], 1);
      mbarrier_init(&shared.empty[stage], 4 * kConsumers);  // one arrival a warp
    }
    mbarrier_init_fence();
  }
  __syncthreads();

  const int warpgroup = threadIdx.x / 128;
  if (warpgroup == 0) {
    fewer_registers<40>();
    if (threadIdx.x == 0) {
      load_wgmma_tiles(shared, maps, m);
    } else {
      wait_for_previous_grid();
    }
  } else {
    more_registers<kRegisters(kColumns)>();
    wait_for_previous_grid();
    multiply_wgmma_tiles(shared, m, warpgroup - 1);
  }
}

template <class T, int kColumns>
constexpr WgmmaKernel wgmma_kernel_of() {
  return {matmul_wgmma_kernel<T, kColumns>, kWgmmaThreads, sizeof(WgmmaShared<T, kColumns>), kColumns};
}

template <class T>
WgmmaKernel wgmma_kernel(int columns) {
  if (columns == 256) return wgmma_kernel_of<T, 256>();
  if (columns == 128) return wgmma_kernel_of<T, 128>();
  return wgmma_kernel_of<T, 64>();
}

}  // namespace magnets::cuda
