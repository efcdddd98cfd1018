// Plain C++ on four lanes of floats, which hold whole numbers below 2^24 exactly: any compiler has fast products of
// those, and few processors without instructions of their own for bytes have fast ones of integers.
#include "int8.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "portable";
constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;
constexpr int kParts = 4;
constexpr int kOrder[] = {0, 1, 2, 3};
using Input = float;

struct I {
  static constexpr int kLanes = 4;
  float v[kLanes];
  static I start(int32_t) { return {{0, 0, 0, 0}}; }  // its weights have lost the 128
  void store(int32_t* x) const {
    for (int i = 0; i < kLanes; ++i) x[i] = static_cast<int32_t>(v[i]);
  }
};

template <int kPart>
inline I weights(const uint8_t* panel) {
  uint32_t groups[I::kLanes];
  __builtin_memcpy(groups, panel, sizeof groups);
  I w;
  for (int i = 0; i < I::kLanes; ++i) {
    w.v[i] = static_cast<float>(static_cast<int32_t>(groups[i] >> (8 * kPart) & 0xff)) - 128.0f;
  }
  return w;
}
template <int kPart>
inline I inputs(const float* q) {
  return {{q[kPart], q[kPart], q[kPart], q[kPart]}};
}
inline I dot(I total, I w, I x) {
  for (int i = 0; i < I::kLanes; ++i) total.v[i] += w.v[i] * x.v[i];
  return total;
}

#include "int8.inl"

/// As many inputs at once as have a sum below 2^24.
void tile_in_blocks(int rows, const void* q, size_t q_stride, const int32_t* row_sums, const uint8_t* panel, int groups,
                    int32_t* sums) {
  constexpr int kBlock = (1 << 24) / (128 * 127) / kInputGroup;
  for (int i = 0; i < rows * kPanel; ++i) sums[i] = 0;
  for (int first = 0; first < groups; first += kBlock) {
    int32_t block[kTileRows * kPanel];
    tile(rows, static_cast<const Input*>(q) + first * kInputGroup, q_stride, row_sums,
         panel + static_cast<size_t>(first) * kInputGroup * kPanel, groups - first < kBlock ? groups - first : kBlock,
         block);
    for (int i = 0; i < rows * kPanel; ++i) sums[i] += block[i];
  }
}

constexpr Int8Kernels with_blocks() {
  Int8Kernels kernels = kInt8Kernels;
  kernels.tile = tile_in_blocks;
  return kernels;
}

}  // namespace

extern const Int8Kernels kInt8PortableKernels;
const Int8Kernels kInt8PortableKernels = with_blocks();

}  // namespace magnets::cpu
