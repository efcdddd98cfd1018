// The epilogue of wgmma's sums: bias and activation in registers, then the rounded sums go into boxes of shared
// memory, from which TMA writes them while the next tile is multiplied. Rows that a problem scatters are written from
// there by the threads; f32 sums are written straight from the registers.
#pragma once

#include <utility>

#include "epilogue.cuh"
#include "wgmma.h"

namespace magnets::cuda {

/// The one of kWgmmaShapes with these sides.
constexpr WgmmaShape wgmma_shape(int groups, int right, bool swapped) {
  for (const WgmmaShape& shape : kWgmmaShapes) {
    if (shape.groups == groups && shape.right == right && shape.swapped == swapped) return shape;
  }
  return {};
}

/// A group's outputs in shared memory: boxes of 64 columns, whose rows of 128 bytes are swizzled as TMA has them.
template <class T, int kRight, bool kSwapped>
struct WgmmaStaging {
  static constexpr int kRows = kSwapped ? kRight : 64, kBoxes = kSwapped ? 1 : kRight / 64, kColumns = kBoxes * 64;
  static constexpr int kBoxElements = kRows * 64, kBytes = kBoxes * kBoxElements * static_cast<int>(sizeof(T));
  static_assert(kBytes % 1024 == 0 && (kSwapped || kRight % 64 == 0));

  static __device__ __forceinline__ T* box(void* slot, int box) { return static_cast<T*>(slot) + box * kBoxElements; }
  /// Where a group's rows, and the columns of its boxes, begin in the tile.
  static __device__ __forceinline__ int first_row(int group) { return kSwapped ? 0 : group * 64; }
  static __device__ __forceinline__ int first_column(int group, int box) { return (kSwapped ? group : box) * 64; }
  /// Eight columns of a row; `chunk` counts on from one box to the next.
  static __device__ __forceinline__ T* chunk(void* slot, int row, int chunk) {
    return box(slot, chunk / 8) + row * 64 + (chunk % 8 ^ row % 8) * 8;
  }
};

/// A group's sums of one tile. Fragment j of a warp's has its rows 16 * warp .. + 16 of the left operand, rows 8 * j ..
/// + 8 of the right one; a thread holds [lane / 4, lane % 4 * 2 + {0, 1}] of it and the same eight rows further.
template <class T, int kRight, bool kSwapped>
class WgmmaOutput {
 public:
  using Staging = WgmmaStaging<T, kRight, kSwapped>;

  __device__ __forceinline__ WgmmaOutput(const MatmulProblem& m, int product, int tile_row, int tile_column, int group)
      : m_(m),
        product_(product),
        row_(tile_row + Staging::first_row(group)),
        column_(tile_column + Staging::first_column(group, 0)) {}

  /// The threads of the group.
  static __device__ __forceinline__ void meet() { barrier_sync(1 + threadIdx.x / 128, 128); }

  /// Biases of the group's columns, which many of its threads have, to shared memory.
  __device__ __forceinline__ void share_bias(float (&bias)[Staging::kColumns]) const {
    const float* values = m_.product[product_].bias;
#pragma unroll
    for (int i = thread(); i < Staging::kColumns; i += 128) {
      bias[i] = values != nullptr && column_ + i < m_.out ? values[column_ + i] : 0.0f;
    }
    meet();
  }

  __device__ __forceinline__ void activate(float (&sums)[kRight / 2], const float (&bias)[Staging::kColumns]) const {
#pragma unroll
    for (int j = 0; j < kRight / 8; ++j) {
      float* v = sums + 4 * j;
      if (kSwapped) {
        const float low = bias[left_row(0)], high = bias[left_row(1)];
        v[0] += low, v[1] += low, v[2] += high, v[3] += high;
      } else {
        const float2 b = *reinterpret_cast<const float2*>(bias + right_row(j));
        v[0] += b.x, v[1] += b.y, v[2] += b.x, v[3] += b.y;
      }
    }
    cuda::activate(m_.epilogue, sums);
  }

  /// Rounded, and combined with what is in the slot, into the slot.
  __device__ __forceinline__ void stage(const float (&sums)[kRight / 2], void* slot) const {
    switch (m_.epilogue) {
      case Epilogue::add:
        return stage<Epilogue::add>(sums, slot);
      case Epilogue::add_scaled:
        return stage<Epilogue::add_scaled>(sums, slot);
      case Epilogue::multiply:
        return stage<Epilogue::multiply>(sums, slot);
      default:
        return stage<Epilogue::store>(sums, slot);
    }
  }

  /// By one thread. What lies outside of y is left out.
  __device__ __forceinline__ void store_boxes(const CUtensorMap& y, void* slot) const {
#pragma unroll
    for (int box = 0; box < Staging::kBoxes; ++box) {
      if (column_ + box * 64 < m_.out) tma_store(&y, Staging::box(slot, box), column_ + box * 64, row_);
    }
    tma_store_commit();
  }

  __device__ __forceinline__ void scatter_rows(void* slot) const {
    each_chunk(slot, [](const T* staged, T* y, int columns) {
      const uint4 eight = *reinterpret_cast<const uint4*>(staged);
      store_columns(y, columns, eight);
    });
  }

  /// What the problem scatters, as it is, into the slot.
  __device__ __forceinline__ void gather_rows(void* slot) const {
    each_chunk(slot, [](T* staged, const T* y, int) {
      // Rows are padded: the last eight columns may be read whole.
      *reinterpret_cast<uint4*>(staged) = *reinterpret_cast<const uint4*>(y);
    });
  }

  __device__ __forceinline__ void store_f32(const float (&sums)[kRight / 2]) const {
    meet();  // the biases of the tile were read
    const long long rows[2] = {kSwapped ? 0 : offset_of(row_ + left_row(0)),
                               kSwapped ? 0 : offset_of(row_ + left_row(1))};
#pragma unroll
    for (int j = 0; j < kRight / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (kSwapped) {
          const long long row = offset_of(row_ + right_row(j) + i);
          put_f32(row, column_ + left_row(0), sums[4 * j + i]);
          put_f32(row, column_ + left_row(1), sums[4 * j + 2 + i]);
        } else {
          const int column = column_ + right_row(j);
          put_f32(rows[i], column, sums[4 * j + 2 * i]);
          put_f32(rows[i], column + 1, sums[4 * j + 2 * i + 1]);
        }
      }
    }
  }

 private:
  static __device__ __forceinline__ int thread() { return threadIdx.x % 128; }
  /// Of the group, which this thread's halves of fragments have.
  static __device__ __forceinline__ int left_row(int half) {
    return thread() / 32 * 16 + threadIdx.x % 32 / 4 + half * 8;
  }
  static __device__ __forceinline__ int right_row(int fragment) { return fragment * 8 + threadIdx.x % 4 * 2; }

  __device__ __forceinline__ long long offset_of(int row) const {
    return row < m_.rows ? row_offset(m_, product_, row, product_ > 0 ? m_.cache.row_index[row] : 0) : -1;
  }

  __device__ __forceinline__ void put_f32(long long row, int column, float sum) const {
    if (row < 0 || column >= m_.out) return;
    float& to = static_cast<float*>(m_.product[product_].y)[row + column];
    to = m_.epilogue == Epilogue::add ? to + sum : sum;
  }

  /// Which row of the matrices of fragments 2 * pair and 2 * pair + 1 this lane gives the address of. Beyond the last
  /// fragment of an odd number it is one of the slot that nobody uses.
  static __device__ __forceinline__ T* matrix_row(void* slot, int pair) {
    const int lane = threadIdx.x % 32, warp = thread() / 32;
    if (kSwapped) return Staging::chunk(slot, pair * 16 + lane / 16 * 8 + lane % 8, warp * 2 + lane / 8 % 2);
    return Staging::chunk(slot, warp * 16 + lane % 16, pair * 2 + lane / 16);
  }

  template <Epilogue kEpilogue>
  __device__ __forceinline__ void stage(const float (&sums)[kRight / 2], void* slot) const {
    constexpr bool kReads = kEpilogue != Epilogue::store;
#pragma unroll
    for (int pair = 0; pair < (kRight + 15) / 16; ++pair) {
      constexpr int kPair = 4;  // registers
      T* row = matrix_row(slot, pair);
      const int left = kRight / 4 - kPair * pair, count = left < kPair ? left : kPair;
      uint32_t old[kPair] = {}, now[kPair] = {};
      if (kReads) {
        if (kSwapped) {
          load_matrices_transposed(old, row);
        } else {
          load_matrices(old, row);
        }
      }
#pragma unroll
      for (int i = 0; i < kPair; ++i) {
        if (i >= count) continue;
        float a = sums[8 * pair + 2 * i], b = sums[8 * pair + 2 * i + 1];
        if (kEpilogue == Epilogue::add_scaled) {
          const int fragment = 2 * pair + i / 2;
          if (kSwapped) {
            const int out = column_ + left_row(i % 2), x_row = row_ + right_row(fragment);
            a *= scale(x_row, out), b *= scale(x_row + 1, out);
          } else {
            const int out = column_ + right_row(fragment), x_row = row_ + left_row(i % 2);
            a *= scale(x_row, out), b *= scale(x_row, out + 1);
          }
        }
        if (kEpilogue == Epilogue::multiply) {
          a *= low<T>(old[i]), b *= high<T>(old[i]);
        } else if (kReads) {
          a += low<T>(old[i]), b += high<T>(old[i]);
        }
        now[i] = pack<T>(a, b);
      }
      if (!kSwapped) {
        store_matrices(row, now);
      } else if (count == kPair) {
        store_matrices_transposed(row, now);
      } else {
        const uint32_t two[2] = {now[0], now[1]};
        store_matrices_transposed(row, two);
      }
    }
  }

  __device__ __forceinline__ float scale(int row, int column) const {
    if (row >= m_.rows || column >= m_.out) return 0.0f;
    const int branch = m_.cache.row_index[row] / m_.cache.positions;
    return m_.scale[static_cast<size_t>(branch) * m_.scale_stride + column];
  }

  /// body(eight columns in the slot, the same in y, how many of them there are) for each eight of the group's.
  template <class Body>
  __device__ __forceinline__ void each_chunk(void* slot, const Body& body) const {
    T* y = static_cast<T*>(m_.product[product_].y);
    for (int i = thread(); i < Staging::kRows * 8; i += 128) {
      const int row = i / 8, chunk = i % 8;
      const long long offset = offset_of(row_ + row);
      if (offset < 0) continue;
#pragma unroll
      for (int box = 0; box < Staging::kBoxes; ++box) {
        const int column = column_ + box * 64 + chunk * 8;
        if (column >= m_.out) continue;
        body(Staging::chunk(slot, row, box * 8 + chunk), y + offset + column_offset(m_, product_, column),
             m_.out - column);
      }
    }
  }

  const MatmulProblem& m_;
  int product_, row_, column_;  // of this group's first output
};

}  // namespace magnets::cuda
