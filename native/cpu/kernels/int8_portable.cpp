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
  void add_to(int32_t* x) const {
    for (int i = 0; i < kLanes; ++i) x[i] += static_cast<int32_t>(v[i]);
  }
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

static_assert(kInt8Block * 128 * 127 <= 1 << 24, "a block's sum is below 2^24");

}  // namespace

extern const Int8Kernels kInt8PortableKernels;
const Int8Kernels kInt8PortableKernels = kInt8Kernels;

}  // namespace magnets::cpu
