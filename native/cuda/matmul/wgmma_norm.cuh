// A norm of rows whose columns are spread over the blocks of a cluster, applied to the staged outputs before TMA
// writes them. A block computes the moments of each row in each of its boxes of 64 columns; all blocks merge those of
// all boxes, in the order of the columns, so a row gets the same bits whatever the tile. Moments are taken around
// means and are merged by their means, so a common offset of a row cancels nowhere.
#pragma once

#include "../kernels/rows.cuh"
#include "../tensor_map.h"
#include "wgmma_epilogue.cuh"

namespace magnets::cuda {

template <class T, int kGroups, int kRight, bool kSwapped>
struct WgmmaMoments {
  using Staging = WgmmaStaging<T, kRight, kSwapped>;
  static constexpr int kRows = kSwapped ? kRight : 64 * kGroups, kBoxes = kSwapped ? kGroups : kRight / 64;  // a tile's
  /// Mean, and sum of squared distances from it, for the tiles of even and of odd turns: before a block writes those
  /// of a turn, all blocks have told it that they have read those of the turn before the last.
  float2 of_boxes[2][kRows][kBoxes];
  float2 of_rows[kGroups][Staging::kRows];  // mean, 1 / deviation
  uint64_t here[2];                         // barriers: all blocks have written of_boxes
};

/// Of eight lanes, each of which gets it.
__device__ __forceinline__ float sum_of_eight(float value) {
#pragma unroll
  for (int lanes = 4; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

/// Normalizes the group's outputs in `slot`, which its threads have staged, of the tile whose first column is
/// `tile_column`. `turn` counts the tiles of the block, and is the same in all blocks of the cluster.
template <class T, int kGroups, int kRight, bool kSwapped>
__device__ __forceinline__ void normalize_staged(WgmmaMoments<T, kGroups, kRight, kSwapped>& moments,
                                                 const MatmulProblem& m, int tile_column, int group, void* slot,
                                                 int turn) {
  using Moments = WgmmaMoments<T, kGroups, kRight, kSwapped>;
  using Staging = typename Moments::Staging;
  using Output = WgmmaOutput<T, kRight, kSwapped>;
  const int thread = threadIdx.x % 128, chunk = thread % 8;  // eight threads have a row of a box
  auto& of_boxes = moments.of_boxes[turn % 2];
  const int row_of_tile = Staging::first_row(group);

#pragma unroll
  for (int box = 0; box < Staging::kBoxes; ++box) {
    const int left = m.out - tile_column - Staging::first_column(group, box);
    if (left <= 0) break;
    const int columns = left < kBoxColumns ? left : kBoxColumns;
    const float share = 1.0f / static_cast<float>(columns);
#pragma unroll 2
    for (int row = thread / 8; row < Staging::kRows; row += 16) {
      float v[8], sum = 0.0f, squares = 0.0f;
      load8(Staging::chunk(slot, row, box * 8 + chunk), v);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += chunk * 8 + i < columns ? v[i] : 0.0f;
      const float mean = m.norm.kind == NormKind::layer_norm ? sum_of_eight(sum) * share : 0.0f;
#pragma unroll
      for (int i = 0; i < 8; ++i) squares += chunk * 8 + i < columns ? (v[i] - mean) * (v[i] - mean) : 0.0f;
      squares = sum_of_eight(squares);
      if (chunk == 0) of_boxes[row_of_tile + row][kSwapped ? group : box] = float2{mean, squares};
    }
  }
  Output::meet();
  const int boxes = (m.out + kBoxColumns - 1) / kBoxColumns;
  const int blocks = (boxes + Moments::kBoxes - 1) / Moments::kBoxes;
  if (thread < blocks) mbarrier_arrive_in_cluster(&moments.here[turn % 2], thread);
  mbarrier_wait_for_cluster(&moments.here[turn % 2], turn / 2 % 2);

  for (int row = thread; row < Staging::kRows; row += 128) {
    float mean = 0.0f, squares = 0.0f, count = 0.0f;
#pragma unroll 4
    for (int box = 0; box < boxes; ++box) {
      const float2 part = load_in_cluster(&of_boxes[row_of_tile + row][box % Moments::kBoxes], box / Moments::kBoxes);
      const int left = m.out - box * kBoxColumns;
      const float columns = static_cast<float>(left < kBoxColumns ? left : kBoxColumns);
      const float distance = part.x - mean, share = columns / (count + columns);
      mean += distance * share;
      squares += part.y + distance * distance * count * share;
      count += columns;
    }
    moments.of_rows[group][row] = float2{mean, rsqrtf(squares / count + m.norm.epsilon)};
  }
  Output::meet();

#pragma unroll
  for (int box = 0; box < Staging::kBoxes; ++box) {
    const int column = tile_column + Staging::first_column(group, box) + chunk * 8, left = m.out - column;
    if (left <= 0) break;
    float weight[8], bias[8] = {};
    load8(m.norm.weight + column, left, weight);
    if (m.norm.bias != nullptr) load8(m.norm.bias + column, left, bias);
#pragma unroll 2
    for (int row = thread / 8; row < Staging::kRows; row += 16) {
      const float2 of_row = moments.of_rows[group][row];
      T* eight = Staging::chunk(slot, row, box * 8 + chunk);
      float v[8];
      load8(eight, v);
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] = (v[i] - of_row.x) * of_row.y * weight[i] + bias[i];
      store8(eight, v, 8);
    }
  }
}

}  // namespace magnets::cuda
