// Matrix products on sm_90a: one warpgroup brings tiles in by TMA, two compute on them by wgmma, 64 rows each; blocks
// stay and take one tile of outputs after the other, so that the next tile's inputs come in while this one's sums go
// out.
#include "device.h"
#include "matmul_epilogue.cuh"
#include "matmul_wgmma.h"

namespace magnets::cuda {

namespace {

constexpr int kRows = kWgmmaRows, kStep = 64, kConsumers = 2, kThreads = 128 * (1 + kConsumers);
constexpr int kStages(int columns) { return columns == 128 ? 6 : 4; }
/// Narrow tiles are for few rows, where a product is short: the next grid's blocks get onto the device beside them.
constexpr int kBlocks(int columns) { return columns == 64 ? 2 : 1; }
constexpr int kStaged(int columns) { return columns == 64 ? 32 : 64; }      // columns that go out at once
constexpr int kRegisters(int columns) { return columns == 64 ? 96 : 232; }  // of a consumer

template <class T, int kColumns>
struct Shared {
  T x[kStages(kColumns)][kRows * kStep];
  T weight[kStages(kColumns)][kColumns * kStep];
  alignas(16) float staged[4 * kConsumers][16 * kStaged(kColumns)];  // a warp's sums on their way out
  float bias[kConsumers][kColumns];
  uint64_t full[kStages(kColumns)], empty[kStages(kColumns)];
};

/// A K-major operand in rows of 128 swizzled bytes, groups of eight rows 1024 bytes apart (PTX ISA, "Matrix Descriptor
/// Format"). 16 inputs further are 32 bytes further.
__device__ __forceinline__ uint64_t descriptor_of(const void* tile, int k) {
  const uint32_t address = shared_address(tile) + k * 32;
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | uint64_t{1} << 16 | uint64_t{1024 >> 4} << 32 |
         uint64_t{1} << 62;
}

struct Tile {
  int which, row, column;
};

template <int kColumns>
__device__ __forceinline__ Tile tile_at(const Matmul& m, int index) {
  const int columns = (m.out + kColumns - 1) / kColumns, rows = (m.rows + kRows - 1) / kRows;
  return {index / (rows * columns), index / columns % rows * kRows, index % columns * kColumns};
}

template <int kColumns>
__device__ __forceinline__ int tiles_of(const Matmul& m) {
  return (m.out + kColumns - 1) / kColumns * ((m.rows + kRows - 1) / kRows) * m.products;
}

/// What the producing thread does.
template <class T, int kColumns>
__device__ __forceinline__ void load_tiles(Shared<T, kColumns>& shared, const WgmmaMaps& maps, const Matmul& m) {
  const int steps = (m.in + kStep - 1) / kStep;
  const auto load_weight = [&](const Tile& tile, int step, int stage) {
    mbarrier_arrive_expecting(&shared.full[stage], (kRows + kColumns) * kStep * static_cast<int>(sizeof(T)));
    tma_load(shared.weight[stage], &maps.weight[tile.which], &shared.full[stage], step * kStep, tile.column);
  };
  const auto load_x = [&](const Tile& tile, int step, int stage) {
    tma_load(shared.x[stage], &maps.x, &shared.full[stage], step * kStep, tile.row);
  };

  // Weights do not depend on the grid before: the first of them come in while it ends.
  int early = 0;
  for (; early < steps && early < kStages(kColumns); ++early) {
    load_weight(tile_at<kColumns>(m, blockIdx.x), early, early);
  }
  wait_for_previous_grid();
  let_next_grid_start();

  int stage = 0, parity = 1;  // the parity before a barrier's first phase counts as complete: all slots are empty
  for (int index = blockIdx.x; index < tiles_of<kColumns>(m); index += gridDim.x) {
    const Tile tile = tile_at<kColumns>(m, index);
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
__device__ __forceinline__ void multiply_tiles(Shared<T, kColumns>& shared, const Matmul& m, int consumer) {
  constexpr int kOut = kStaged(kColumns);
  using Output = MatmulOutput<T, kOut>;
  const int steps = (m.in + kStep - 1) / kStep;
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
  int stage = 0, parity = 0;
  for (int index = blockIdx.x; index < tiles_of<kColumns>(m); index += gridDim.x) {
    const Tile tile = tile_at<kColumns>(m, index);
    const Output output{m, tile.which};
    const int row = tile.row + consumer * 64 + warp * 16;
    const auto row_index = output.row_index(row);
    constexpr int kBiases = (kColumns + 127) / 128;  // of a thread
    float biases[kBiases];
#pragma unroll
    for (int i = 0; i < kBiases; ++i) biases[i] = output.bias(tile.column + i * 128 + thread);

    float sums[kColumns / 2];
    int before = -1;  // the stage whose reads may still be under way
    for (int step = 0; step < steps; ++step) {
      mbarrier_wait(&shared.full[stage], parity);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kStep / 16; ++k) {
        wgmma<T, kColumns>(sums, descriptor_of(shared.x[stage] + consumer * 64 * kStep, k),
                           descriptor_of(shared.weight[stage], k), step > 0 || k > 0);
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

    float* staged = shared.staged[consumer * 4 + warp];
#pragma unroll 1
    for (int first = 0; first < kColumns; first += kOut) {
      const auto next = first + kOut < kColumns ? output.residual(rows, tile.column + first + kOut) : residual;
#pragma unroll
      for (int part = 0; part < kColumns / kOut; ++part) {
        if (part * kOut != first) continue;  // registers have no index at run time
#pragma unroll
        for (int i = 0; i < kOut / 8; ++i) {
          const float* v = sums + (part * kOut / 8 + i) * 4;
          output.stage(staged, i, v[0], v[1], v[2], v[3]);
        }
      }
      __syncwarp();
      output.store(staged, rows, tile.column + first, shared.bias[consumer] + first, residual);
      __syncwarp();
      residual = next;
    }
  }
}

template <class T, int kColumns>
__global__ void __launch_bounds__(kThreads, kBlocks(kColumns))
    multiply_kernel(const __grid_constant__ WgmmaMaps maps, const __grid_constant__ Matmul m) {
  auto& shared = shared_as<Shared<T, kColumns>>();
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
      load_tiles(shared, maps, m);
    } else {
      wait_for_previous_grid();
    }
  } else {
    more_registers<kRegisters(kColumns)>();
    wait_for_previous_grid();
    multiply_tiles(shared, m, warpgroup - 1);
  }
}

template <class T, int kColumns>
constexpr WgmmaKernel kernel_of() {
  return {multiply_kernel<T, kColumns>, kThreads, sizeof(Shared<T, kColumns>), kColumns};
}

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                            const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                            CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/// The driver's function, found through the runtime: nothing links to the driver.
Encode encoder() {
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result;
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result),
          "looking for cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess) throw Error("ERR_DEVICE", "the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

CUtensorMap map_of(const void* matrix, int rows, int columns, int stride, int box_rows, DType dtype) {
  const auto type = dtype == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride) * 2};
  const cuuint32_t box[] = {kStep, static_cast<cuuint32_t>(box_rows)}, steps[] = {1, 1};
  CUtensorMap map;
  const CUresult result =
      encoder()(&map, type, 2, const_cast<void*>(matrix), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw Error("ERR_DEVICE", "encoding a tensor map: error " + std::to_string(result));
  return map;
}

}  // namespace

WgmmaKernel wgmma_kernel(int columns, DType dtype) {
  const bool half = dtype == DType::f16;
  if (columns == 256) return half ? kernel_of<f16, 256>() : kernel_of<bf16, 256>();
  if (columns == 128) return half ? kernel_of<f16, 128>() : kernel_of<bf16, 128>();
  return half ? kernel_of<f16, 64>() : kernel_of<bf16, 64>();
}

WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const Matmul& m, int weight_rows, int weight_columns, DType dtype) {
  WgmmaMaps maps;
  // Beyond its last input x is zeros, so what the weights hold there does not matter.
  maps.x = map_of(m.x, m.rows, m.in, m.x_stride, kRows, dtype);
  for (int i = 0; i < m.products; ++i) {
    maps.weight[i] = map_of(m.product[i].weight, weight_rows, weight_columns, m.weight_stride, kernel.columns, dtype);
  }
  return maps;
}

}  // namespace magnets::cuda
