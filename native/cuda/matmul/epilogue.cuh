// What happens to sums once they are complete: activations and the places of rows, which wgmma_epilogue.cuh uses too,
// and the epilogue of mma.sync, in which a warp puts its sums into shared memory first, to write whole lines of the
// output from there.
#pragma once

#include <ptx.cuh>

#include "matmul.h"

namespace magnets::cuda {

/// x Φ(x)
__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

/// 0.5 x (1 + tanh(u)), u = sqrt(2 / π) (x + 0.044715 x³). tanh errs by 2^-11 of itself, this by 2^-12 of |x|.
__device__ __forceinline__ float gelu_tanh(float x) {
  constexpr float kScale = 0.79788456f;
  const float half = 0.5f * x;
  return half + half * tanh_approximate(x * (kScale + kScale * 0.044715f * x * x));
}

/// x / (1 + e^-x)
__device__ __forceinline__ float silu(float x) {
  return x * reciprocal_approximate(1.0f + exp2_approximate(-1.44269504f * x));
}

template <int kCount>
__device__ __forceinline__ void activate(Epilogue epilogue, float (&v)[kCount]) {
  if (epilogue == Epilogue::gelu) {
#pragma unroll
    for (float& x : v) x = gelu(x);
  } else if (epilogue == Epilogue::gelu_tanh) {
#pragma unroll
    for (float& x : v) x = gelu_tanh(x);
  } else if (epilogue == Epilogue::silu) {
#pragma unroll
    for (float& x : v) x = silu(x);
  } else if (epilogue == Epilogue::tanh) {
#pragma unroll
    for (float& x : v) x = tanh_approximate(x);
  }
}

/// The row of y that a row of a convolution is for, or -1 for a border.
__device__ __forceinline__ int pixel_of(const PictureTarget& p, int row) {
  const int column = row % p.columns, line = row / p.columns % p.lines, sample = row / p.columns / p.lines;
  if (column >= p.width || line >= p.height) return -1;
  const int y_line = (sample * p.height + line) * p.parities + p.parity_line;
  return (y_line * p.width + column) * p.parities + p.parity_column;
}

/// Where the output of a product keeps the first column of a row; -1 where it does not. `index`: the row's in the
/// cache, of keys and values, which are further by column_offset.
__device__ __forceinline__ long long row_offset(const MatmulProblem& m, int product, int row, int index) {
  if (product > 0) {
    const int branch = index / m.cache.positions, position = index % m.cache.positions;
    return (static_cast<long long>(branch) * m.cache.heads * m.cache.positions + position) * m.cache.head_dim;
  }
  const int of_y = m.picture.lines > 0 ? pixel_of(m.picture, row) : row;
  return of_y < 0 ? -1 : static_cast<long long>(of_y) * m.y_stride;
}
__device__ __forceinline__ long long column_offset(const MatmulProblem& m, int product, int column) {
  if (product == 0) return column;
  const int head = column / m.cache.head_dim;
  return column + static_cast<long long>(head) * (m.cache.positions - 1) * m.cache.head_dim;
}

/// The first `columns` of eight, or all.
template <class T>
__device__ __forceinline__ void store_columns(T* y, int columns, const uint4& eight) {
  if (columns >= 8) {
    *reinterpret_cast<uint4*>(y) = eight;
    return;
  }
  const uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (i < columns) y[i].bits = static_cast<uint16_t>(pairs[i / 2] >> i % 2 * 16);
  }
}

/// A warp's epilogue for 16 x 32 sums at a time, of one product of a problem.
template <class T>
struct MatmulOutput {
  static constexpr int kColumns = 32;
  static constexpr int kLanes = kColumns / 8;   // of a row: eight columns each
  static constexpr int kTurns = kColumns / 16;  // until the 32 lanes have had 16 rows

  const MatmulProblem& m;
  int product;  // number of it

  /// 0 beyond the last column.
  __device__ __forceinline__ float bias(int column) const {
    const float* values = m.product[product].bias;
    return values != nullptr && column < m.out ? values[column] : 0.0f;
  }

  /// Of a lane's rows, one a turn, of the 16 from `row` on: the cache's numbers, for where keys and values go.
  struct RowIndex {
    int at[kTurns];
  };
  __device__ __forceinline__ RowIndex row_index(int row) const {
    RowIndex index{};
    if (product == 0) return index;
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int own = row_of_lane(row, turn);
      if (own < m.rows) index.at[turn] = m.cache.row_index[own];
    }
    return index;
  }

  /// Where the output keeps the first column of a lane's rows (in the cache: without its head); -1 outside.
  struct Rows {
    long long at[kTurns];
  };
  __device__ __forceinline__ Rows rows_at(int row, const RowIndex& index) const {
    Rows rows;
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int own = row_of_lane(row, turn);
      rows.at[turn] = own < m.rows ? row_offset(m, product, own, index.at[turn]) : -1;
    }
    return rows;
  }

  /// What sums are added to, or multiply, eight columns of each row. Loaded ahead of the stores before it, which no
  /// load may pass.
  struct Residual {
    uint4 pairs[kTurns];  // [turn]: 8 columns of T
  };
  __device__ __forceinline__ Residual residual(const Rows& rows, int column) const {
    Residual residual{};
    if (!reads_y(m) || m.f32_out) return residual;
    const int own = column + threadIdx.x % kLanes * 8;
    const T* y = static_cast<const T*>(m.product[product].y);
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      // Rows are padded: the last eight columns may be read whole.
      if (rows.at[turn] >= 0 && own < m.out) {
        residual.pairs[turn] = *reinterpret_cast<const uint4*>(y + rows.at[turn] + own);
      }
    }
    return residual;
  }

  /// Sums of the 16 x 8 fragment whose first column is 8 * fragment, to the warp's tile [16, kColumns].
  __device__ __forceinline__ static void put_fragment(float* tile, int fragment, float v0, float v1, float v2,
                                                      float v3) {
    const int group = threadIdx.x % 32 / 4, thread = threadIdx.x % 4;
    float* at = tile + swizzled_chunk(group, fragment * 2 + thread / 2) + thread % 2 * 2;
    *reinterpret_cast<float2*>(at) = float2{v0, v1};
    *reinterpret_cast<float2*>(at + 8 * kColumns) = float2{v2, v3};  // the same swizzle eight rows further
  }

  /// From the tile to the output's rows from `first_row` on and columns from `column` on, whose biases are
  /// bias[0 .. kColumns).
  __device__ __forceinline__ void store(const float* tile, int first_row, const Rows& rows, int column,
                                        const float* bias, const Residual& residual) const {
    const int lane = threadIdx.x % kLanes, own = column + lane * 8;
    const int columns = m.out - own;
    if (columns <= 0) return;
    const long long offset = column_offset(m, product, own);
    const float4 low_bias = *reinterpret_cast<const float4*>(bias + lane * 8);
    const float4 high_bias = *reinterpret_cast<const float4*>(bias + lane * 8 + 4);
    float v[kTurns][8];  // [rows of this lane, 8 columns]
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int row = row_of_lane(0, turn);
      const float4 a = *reinterpret_cast<const float4*>(tile + swizzled_chunk(row, lane * 2));
      const float4 b = *reinterpret_cast<const float4*>(tile + swizzled_chunk(row, lane * 2 + 1));
      v[turn][0] = a.x + low_bias.x, v[turn][1] = a.y + low_bias.y;
      v[turn][2] = a.z + low_bias.z, v[turn][3] = a.w + low_bias.w;
      v[turn][4] = b.x + high_bias.x, v[turn][5] = b.y + high_bias.y;
      v[turn][6] = b.z + high_bias.z, v[turn][7] = b.w + high_bias.w;
    }
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) activate(m.epilogue, v[turn]);
    if (m.epilogue == Epilogue::add_scaled) {
#pragma unroll
      for (int turn = 0; turn < kTurns; ++turn) {
        const int row = row_of_lane(first_row, turn);
        if (row >= m.rows) break;
        // At any multiple of 4 bytes.
        const float* scale =
            m.scale + static_cast<size_t>(m.cache.row_index[row] / m.cache.positions) * m.scale_stride + own;
#pragma unroll
        for (int i = 0; i < 8; ++i) v[turn][i] *= i < columns ? scale[i] : 0.0f;
      }
    }
    if (reads_y(m) && !m.f32_out) {
      const bool multiplies = m.epilogue == Epilogue::multiply;
#pragma unroll
      for (int turn = 0; turn < kTurns; ++turn) {
        const uint4& pairs = residual.pairs[turn];
        const uint32_t old_pairs[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          const float old = i % 2 == 0 ? low<T>(old_pairs[i / 2]) : high<T>(old_pairs[i / 2]);
          v[turn][i] = multiplies ? v[turn][i] * old : v[turn][i] + old;
        }
      }
    }
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      if (rows.at[turn] < 0) continue;
      const long long at = rows.at[turn] + offset;
      if (m.f32_out) {
        store_f32(static_cast<float*>(m.product[product].y) + at, columns, v[turn]);
      } else {
        const float(&eight)[8] = v[turn];
        store_columns(static_cast<T*>(m.product[product].y) + at, columns,
                      uint4{pack<T>(eight[0], eight[1]), pack<T>(eight[2], eight[3]), pack<T>(eight[4], eight[5]),
                            pack<T>(eight[6], eight[7])});
      }
    }
  }

 private:
  static __device__ __forceinline__ int row_of_lane(int row, int turn) {
    return row + turn * (32 / kLanes) + threadIdx.x % 32 / kLanes;
  }

  /// Where the columns 4 * chunk .. + 4 of a row lie in a tile, so that the lanes that store or load at once meet
  /// different banks: eight of a fragment's rows, or the even chunks of one row or two.
  static __device__ __forceinline__ int swizzled_chunk(int row, int chunk) {
    return row * kColumns + (chunk ^ row % 4 * 2 ^ row % 2) * 4;
  }

  __device__ __forceinline__ void store_f32(float* y, int columns, const float (&v)[8]) const {
    const bool add = m.epilogue == Epilogue::add;
    if (columns >= 8 && !add) {
      *reinterpret_cast<float4*>(y) = float4{v[0], v[1], v[2], v[3]};
      *reinterpret_cast<float4*>(y + 4) = float4{v[4], v[5], v[6], v[7]};
      return;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (i < columns) y[i] = v[i] + (add ? y[i] : 0.0f);
    }
  }
};

}  // namespace magnets::cuda
