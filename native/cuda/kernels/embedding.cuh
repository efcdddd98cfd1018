// Entries of a table plus positions, a row a warp: the rows of a step, which may be selected on the way, or simply rows
// of ids.
#pragma once

#include "layer_norm.cuh"
#include "select_rows.cuh"

namespace magnets::cuda {

/// A table's entries [*, columns] of the compute type, and positions [S, columns] or null for none.
struct EmbeddingTables {
  const void* entries;
  int entry_stride;
  const float* positions;
  int position_stride;
};

/// y = the sum of the entries ids[0 .. count) + position, normalized where there is a norm.
template <class T>
__device__ __forceinline__ void embed_row(const EmbeddingTables& tables, const int* ids, int count, int position,
                                          const NormArguments& norm, int columns, T* y) {
  const T* entries = static_cast<const T*>(tables.entries);
  const float* added = tables.positions + static_cast<size_t>(position) * tables.position_stride;
  const auto load = [&](int first, float(&v)[8]) {
    load8(entries + static_cast<size_t>(ids[0]) * tables.entry_stride + first, v);
#pragma unroll 1
    for (int more = 1; more < count; ++more) {
      float of_entry[8];
      load8(entries + static_cast<size_t>(ids[more]) * tables.entry_stride + first, of_entry);
#pragma unroll
      for (int i = 0; i < 8; ++i) v[i] += of_entry[i];
    }
    if (tables.positions == nullptr) return;
    float of_position[8];
    load8(added + first, columns - first, of_position);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] += of_position[i];
  };
  store_row(load, norm, columns, y);
}

struct EmbedArguments {
  EmbeddingTables tables;
  const int *ids, *first_ids;  // [samples, tokens * sub_tokens], [branches]
  int ids_stride, samples, sub_tokens;
  const int* row_index;  // [rows]: branch * positions + position
  int rows, positions;
  NormArguments norm;
  int columns;
  void* x;
  int x_stride;
};

/// Row `row` of x, which is `at`: branch * positions + position.
template <class T>
__device__ __forceinline__ void embed_at(const EmbedArguments& e, int row, int at) {
  const int branch = at / e.positions, position = at % e.positions;
  const int* ids = e.ids + static_cast<size_t>(branch % e.samples) * e.ids_stride;
  const int* own = position == 0 ? e.first_ids + branch : ids + (position - 1) * e.sub_tokens;
  embed_row(e.tables, own, position == 0 ? 1 : e.sub_tokens, position, e.norm, e.columns,
            static_cast<T*>(e.x) + static_cast<size_t>(row) * e.x_stride);
}

template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32) embed_kernel(const __grid_constant__ EmbedArguments e) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row < e.rows) embed_at<T>(e, row, e.row_index[row]);
}

/// Both at once: no warp waits for the list of another, each finds its own row. With the registers that this takes: by
/// itself the compiler would keep to 72 for more blocks at once, and spill.
template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32, 1)
    select_and_embed_kernel(const __grid_constant__ SelectRowsArguments s, const __grid_constant__ EmbedArguments e) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row < e.rows) embed_at<T>(e, row, select_row(s, row));
}

struct LookupArguments {
  EmbeddingTables tables;
  const int* ids;  // [rows]
  int rows, sequence, columns;
  void* y;
  int y_stride;
};

template <class T>
__global__ void __launch_bounds__(kRowsOfBlock * 32) lookup_kernel(const __grid_constant__ LookupArguments l) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= l.rows) return;
  embed_row(l.tables, l.ids + row, 1, row % l.sequence, NormArguments{}, l.columns,
            static_cast<T*>(l.y) + static_cast<size_t>(row) * l.y_stride);
}

}  // namespace magnets::cuda
