// What happens to sums once they are complete: bias, GELU, residual, and the way to memory. mma.sync and wgmma hold
// their accumulators alike, so both kernels end here.
#pragma once

#include <ptx.cuh>

#include "../backend.h"
#include "matmul.h"

namespace magnets::cuda {

/// x Φ(x)
__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

/// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2 u)), u = sqrt(2 / π) (x + 0.044715 x³)
__device__ __forceinline__ float gelu_tanh(float x) {
  constexpr float kMinusTwoLog2e = -2.0f * 1.44269504f * 0.79788456f;
  return __fdividef(x, 1.0f + exp2_approximate(kMinusTwoLog2e * (x + 0.044715f * x * x * x)));
}

template <class T>
struct MatmulOutput {
  const Matmul& m;
  int which;  // product

  /// A lane's two rows of a 16 x 8 fragment that begins at `row`, and where the cache keeps them, without their head.
  struct Rows {
    int row[2];
    size_t cached[2];
  };
  __device__ __forceinline__ Rows rows_at(int row) const {
    const int group = threadIdx.x % 32 / 4;
    Rows rows{{row + group, row + group + 8}, {0, 0}};
    if (which == 0) return rows;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (rows.row[half] >= m.rows) continue;
      const int at = m.cache.row_index[rows.row[half]];
      const int branch = at / m.cache.positions, position = at % m.cache.positions;
      rows.cached[half] =
          (static_cast<size_t>(branch) * m.cache.heads * m.cache.positions + position) * m.cache.head_dim;
    }
    return rows;
  }

  /// Columns column .. column + 3 (column divides by 4) of a row; those outside are left out.
  __device__ __forceinline__ void store(int row, size_t cached, int column, float (&v)[4]) const {
    const int columns = m.out - column < 4 ? m.out - column : 4;
    if (columns <= 0) return;
    const float* bias = m.product[which].bias;
    if (bias != nullptr) {
      for (int i = 0; i < columns; ++i) v[i] += bias[column + i];
    }
    if (m.epilogue == Epilogue::gelu) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = gelu(v[i]);
    } else if (m.epilogue == Epilogue::gelu_tanh) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = gelu_tanh(v[i]);
    }

    if (m.f32_out) {
      float* y = static_cast<float*>(m.product[which].y) + static_cast<size_t>(row) * m.y_stride + column;
      const bool add = m.epilogue == Epilogue::add;
      if (columns == 4 && !add) {
        *reinterpret_cast<float4*>(y) = float4{v[0], v[1], v[2], v[3]};
      } else {
        for (int i = 0; i < columns; ++i) y[i] = v[i] + (add ? y[i] : 0.0f);
      }
      return;
    }

    T* y = static_cast<T*>(m.product[which].y);
    if (which == 0) {
      y += static_cast<size_t>(row) * m.y_stride + column;
    } else {
      const int head = column / m.cache.head_dim;
      y += cached + (static_cast<size_t>(head) * m.cache.positions - head) * m.cache.head_dim + column;
    }
    if (columns == 4) {
      auto* words = reinterpret_cast<uint2*>(y);
      if (m.epilogue == Epilogue::add) {
        const uint2 old = *words;
        v[0] += low<T>(old.x), v[1] += high<T>(old.x), v[2] += low<T>(old.y), v[3] += high<T>(old.y);
      }
      *words = uint2{pack<T>(v[0], v[1]), pack<T>(v[2], v[3])};
    } else {
      for (int i = 0; i < columns; ++i) {
        const float sum = v[i] + (m.epilogue == Epilogue::add ? low<T>(y[i].bits) : 0.0f);
        y[i].bits = static_cast<uint16_t>(pack<T>(sum, 0.0f));
      }
    }
  }

  /// Two neighbouring 16 x 8 fragments of one warp, from `column` on. A lane holds two columns of each; it trades one
  /// pair with its neighbour, so that each stores four columns of one fragment and a warp's stores fill sectors.
  __device__ __forceinline__ void store_fragments(const Rows& rows, int column, const float (&left)[4],
                                                  const float (&right)[4]) const {
    const int thread = threadIdx.x % 4;
    const bool odd = thread % 2 != 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float mine0 = odd ? right[2 * half] : left[2 * half];
      const float mine1 = odd ? right[2 * half + 1] : left[2 * half + 1];
      const float other0 = __shfl_xor_sync(~0u, odd ? left[2 * half] : right[2 * half], 1);
      const float other1 = __shfl_xor_sync(~0u, odd ? left[2 * half + 1] : right[2 * half + 1], 1);
      float v[4] = {odd ? other0 : mine0, odd ? other1 : mine1, odd ? mine0 : other0, odd ? mine1 : other1};
      if (rows.row[half] < m.rows) {
        store(rows.row[half], rows.cached[half], column + (odd ? 8 : 0) + thread / 2 * 4, v);
      }
    }
  }
};

}  // namespace magnets::cuda
