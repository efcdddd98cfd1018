// NEON with dot products (64-bit Arm from 8.2 on): one instruction multiplies and adds up four inputs of 4 outputs.
// 6 x 16 tiles.
#include <arm_neon.h>

#include "int8.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "neon-dotprod";
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
constexpr int kParts = 1;
constexpr int kOrder[] = {0, 1, 2, 3};
using Input = int8_t;

struct I {
  static constexpr int kLanes = 4;
  int32x4_t v;
  static I start(int32_t) { return {vdupq_n_s32(0)}; }  // its weights have lost the 128
  void add_to(int32_t* x) const { vst1q_s32(x, vaddq_s32(v, vld1q_s32(x))); }
  void store(int32_t* x) const { vst1q_s32(x, v); }
};

struct Bytes {
  int8x16_t v;
};

template <int>
inline Bytes weights(const uint8_t* panel) {
  return {vreinterpretq_s8_u8(veorq_u8(vld1q_u8(panel), vdupq_n_u8(0x80)))};
}
template <int>
inline Bytes inputs(const int8_t* q) {
  int32_t group;
  __builtin_memcpy(&group, q, sizeof group);
  return {vreinterpretq_s8_s32(vdupq_n_s32(group))};
}
inline I dot(I total, Bytes w, Bytes x) { return {vdotq_s32(total.v, w.v, x.v)}; }

#include "int8.inl"

}  // namespace

extern const Int8Kernels kInt8NeonDotprodKernels;
const Int8Kernels kInt8NeonDotprodKernels = kInt8Kernels;

}  // namespace magnets::cpu
