// Matrix products on sm_90a: groups of four warps multiply by wgmma what one more warp loads by TMA. Blocks are
// persistent and take one tile of outputs after the other, so that the next tile's operands are loaded while this
// one's sums are written. All shapes add up the inputs of an output in the same order, so a sum does not depend on the
// shape.
#pragma once

#include "../ptx/operand.cuh"
#include "wgmma_norm.cuh"

namespace magnets::cuda {

/// Operands in shared memory, or, after the steps of a tile, one slot for each group's outputs on their way to memory:
/// what they are added to comes into it first.
template <class T, int kGroups, int kRight, bool kSwapped>
struct WgmmaShared {
  static constexpr WgmmaShape kShape = wgmma_shape(kGroups, kRight, kSwapped);
  struct Slot {
    T left[64 * kGroups * kMatmulStep];  // rows of 64 inputs, swizzled by TMA
    T right[kRight * kMatmulStep];
  } ring[kShape.stages];
  float bias[kGroups][WgmmaStaging<T, kRight, kSwapped>::kColumns];
  uint64_t full[kShape.stages], empty[kShape.stages];
  WgmmaMoments<T, kGroups, kRight, kSwapped> moments;
  static_assert(kShape.stages > kGroups && sizeof(Slot::left) % 1024 == 0 && sizeof(Slot) % 1024 == 0);
};

/// A slot of the ring, and the parity of its barriers' phase.
template <int kStages>
struct RingPlace {
  int stage, parity;
  __device__ __forceinline__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
  __device__ __forceinline__ int stage_before(int by) const { return stage >= by ? stage - by : stage - by + kStages; }
};

struct WgmmaTile {
  int product, row, column;
};

__device__ __forceinline__ int wgmma_tiles(const MatmulProblem& m, const WgmmaShape& shape) {
  return (m.out + shape.columns() - 1) / shape.columns() * ((m.rows + shape.rows() - 1) / shape.rows()) * m.products;
}

__device__ __forceinline__ WgmmaTile wgmma_tile(const MatmulProblem& m, const WgmmaShape& shape, int index) {
  const int columns = (m.out + shape.columns() - 1) / shape.columns();
  const int rows = (m.rows + shape.rows() - 1) / shape.rows();
  return {index / (rows * columns), index / columns % rows * shape.rows(), index % columns * shape.columns()};
}

/// What the producing thread does.
template <class T, int kGroups, int kRight, bool kSwapped>
__device__ __forceinline__ void load_wgmma_tiles(WgmmaShared<T, kGroups, kRight, kSwapped>& shared,
                                                 const WgmmaMaps& maps, const MatmulProblem& m) {
  using Shared = WgmmaShared<T, kGroups, kRight, kSwapped>;
  constexpr WgmmaShape kShape = Shared::kShape;
  const int of_tap = tap_steps(m), steps = m.taps * of_tap;
  const auto load_weight = [&](const WgmmaTile& tile, int step, int stage) {
    mbarrier_arrive_expecting(&shared.full[stage], kShape.stage_bytes());
    tma_load(kSwapped ? shared.ring[stage].left : shared.ring[stage].right, &maps.weight[tile.product],
             &shared.full[stage], step / of_tap * m.in + step % of_tap * kMatmulStep, tile.column);
  };
  const auto load_x = [&](const WgmmaTile& tile, int step, int stage) {
    tma_load(kSwapped ? shared.ring[stage].right : shared.ring[stage].left, &maps.x, &shared.full[stage],
             step % of_tap * kMatmulStep, tile.row + m.tap_rows[step / of_tap]);
  };
  const auto load_old = [&](const WgmmaTile& tile, int group, int stage) {
    using Staging = WgmmaStaging<T, kRight, kSwapped>;
    mbarrier_arrive_expecting(&shared.full[stage], Staging::kBytes);
    for (int box = 0; box < Staging::kBoxes; ++box) {
      tma_load(Staging::box(&shared.ring[stage], box), &maps.y, &shared.full[stage],
               tile.column + Staging::first_column(group, box), tile.row + Staging::first_row(group));
    }
  };

  // Weights do not depend on the grid before: the first of them come in while it ends.
  int early = 0;
  for (; early < steps && early < kShape.stages; ++early) {
    load_weight(wgmma_tile(m, kShape, blockIdx.x), early, early);
  }
  wait_for_previous_grid();
  let_next_grid_start();

  RingPlace<kShape.stages> place{0, 1};  // the parity before a barrier's first phase counts as complete: all are empty
  for (int index = blockIdx.x; index < wgmma_tiles(m, kShape); index += gridDim.x) {
    const WgmmaTile tile = wgmma_tile(m, kShape, index);
    for (int step = 0; step < steps; ++step) {
      mbarrier_wait(&shared.empty[place.stage], place.parity);
      if (early > 0) {
        --early;
      } else {
        load_weight(tile, step, place.stage);
      }
      load_x(tile, step, place.stage);
      place.advance();
    }
    for (int group = 0; group < kGroups && !m.f32_out; ++group) {
      mbarrier_wait(&shared.empty[place.stage], place.parity);
      if (reads_y(m) && goes_by_boxes(m, tile.product)) {
        load_old(tile, group, place.stage);
      } else {
        mbarrier_arrive(&shared.full[place.stage]);
      }
      place.advance();
    }
  }
}

/// The left rows of one group, of every tile of this block.
template <class T, int kGroups, int kRight, bool kSwapped>
__device__ __forceinline__ void multiply_wgmma_tiles(WgmmaShared<T, kGroups, kRight, kSwapped>& shared,
                                                     const WgmmaMaps& maps, const MatmulProblem& m, int group) {
  constexpr WgmmaShape kShape = WgmmaShared<T, kGroups, kRight, kSwapped>::kShape;
  const int steps = m.taps * tap_steps(m);
  const int thread = threadIdx.x % 128, lane = threadIdx.x % 32;
  RingPlace<kShape.stages> place{0, 0};
  bool going_out = false;  // TMA may still read the group's outputs of the tile before: this thread asked for it
  for (int index = blockIdx.x; index < wgmma_tiles(m, kShape); index += gridDim.x) {
    float sums[kRight / 2];  // [16, kRight] of the warp: fragments of 16 x 8
    const auto multiply = [&](bool first) {
      mbarrier_wait(&shared.full[place.stage], place.parity);
      wgmma_fence();
      const auto& slot = shared.ring[place.stage];
#pragma unroll
      for (int k = 0; k < kMatmulStep / 16; ++k) {
        wgmma<T, kRight>(sums, k_major_operand(slot.left + group * 64 * kMatmulStep, k), k_major_operand(slot.right, k),
                         !first || k > 0);
      }
      wgmma_commit();
      place.advance();
    };
    multiply(true);
    if (going_out) {
      tma_store_wait_read<0>();
      mbarrier_arrive(&shared.empty[place.stage_before(1 + kGroups - group)]);
    }
    __syncwarp();
    for (int step = 1; step < steps; ++step) {
      multiply(false);
      wgmma_wait<1>();
      __syncwarp();
      if (lane == 0) mbarrier_arrive(&shared.empty[place.stage_before(2)]);
    }
    const WgmmaTile tile = wgmma_tile(m, kShape, index);
    const WgmmaOutput<T, kRight, kSwapped> output{m, tile.product, tile.row, tile.column, group};
    output.share_bias(shared.bias[group]);
    wgmma_wait<0>();
    wgmma_results(sums);
    __syncwarp();
    if (lane == 0) mbarrier_arrive(&shared.empty[place.stage_before(1)]);

    output.activate(sums, shared.bias[group]);
    if (m.f32_out) {
      output.store_f32(sums);
      continue;
    }
#pragma unroll
    for (int of_group = 0; of_group < kGroups; ++of_group) {
      mbarrier_wait(&shared.full[place.stage], place.parity);
      __syncwarp();
      if (of_group != group && lane == 0) mbarrier_arrive(&shared.empty[place.stage]);
      place.advance();
    }
    const int own = place.stage_before(kGroups - group);
    void* slot = &shared.ring[own];
    going_out = false;
    if (goes_by_boxes(m, tile.product)) {
      output.stage(sums, slot);
      if (m.norm.weight != nullptr) {
        output.meet();
        normalize_staged(shared.moments, m, tile.column, group, slot, index / gridDim.x);
      }
      proxy_fence();
      output.meet();
      if (thread == 0) {
        output.store_boxes(maps.y, slot);
        going_out = true;
      } else if (lane == 0) {
        mbarrier_arrive(&shared.empty[own]);
      }
    } else {
      if (reads_y(m)) {
        output.gather_rows(slot);
        output.meet();
      }
      output.stage(sums, slot);
      proxy_fence();
      output.meet();
      output.scatter_rows(slot);
      __syncwarp();
      if (lane == 0) mbarrier_arrive(&shared.empty[own]);
    }
  }
  if (thread == 0) tma_store_wait<0>();
}

template <int kGroups>
constexpr int kWgmmaThreads = 128 * kGroups + 32;

template <class T, int kGroups, int kRight, bool kSwapped>
__global__ void __launch_bounds__(kWgmmaThreads<kGroups>, wgmma_shape(kGroups, kRight, kSwapped).resident)
    matmul_wgmma_kernel(const __grid_constant__ WgmmaMaps maps, const __grid_constant__ MatmulProblem m) {
  constexpr WgmmaShape kShape = wgmma_shape(kGroups, kRight, kSwapped);
  auto& shared = shared_as<WgmmaShared<T, kGroups, kRight, kSwapped>>();
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&maps.x);
    prefetch_tensor_map(&maps.y);
    for (int stage = 0; stage < kShape.stages; ++stage) {
      mbarrier_init(&shared.full[stage], 1);
      mbarrier_init(&shared.empty[stage], 4 * kGroups);  // one arrival a warp
    }
    for (uint64_t& here : shared.moments.here) mbarrier_init(&here, kGroups * blocks_of_row(kShape, m));
    mbarrier_init_fence();
  }
  if (m.norm.weight != nullptr) {
    cluster_barrier();  // others arrive at this block's barriers
  } else {
    __syncthreads();
  }

  const int group = threadIdx.x / 128;
  if (group < kGroups) {
    wait_for_previous_grid();
    multiply_wgmma_tiles(shared, maps, m, group);
  } else if (threadIdx.x % 32 == 0) {
    load_wgmma_tiles(shared, maps, m);
  } else {
    wait_for_previous_grid();
  }
  if (m.norm.weight != nullptr) cluster_barrier();  // others may still read this block's moments
}

template <class T, int kShape>
constexpr WgmmaKernel wgmma_kernel_of() {
  constexpr WgmmaShape shape = kWgmmaShapes[kShape];
  return {matmul_wgmma_kernel<T, shape.groups, shape.right, shape.swapped>, kWgmmaThreads<shape.groups>,
          sizeof(WgmmaShared<T, shape.groups, shape.right, shape.swapped>)};
}

template <class T>
WgmmaKernel wgmma_kernel(int shape) {
  static_assert(kWgmmaShapeCount == 7);
  switch (shape) {
    case 0:
      return wgmma_kernel_of<T, 0>();
    case 1:
      return wgmma_kernel_of<T, 1>();
    case 2:
      return wgmma_kernel_of<T, 2>();
    case 3:
      return wgmma_kernel_of<T, 3>();
    case 4:
      return wgmma_kernel_of<T, 4>();
    case 5:
      return wgmma_kernel_of<T, 5>();
    default:
      return wgmma_kernel_of<T, 6>();
  }
}

}  // namespace magnets::cuda
