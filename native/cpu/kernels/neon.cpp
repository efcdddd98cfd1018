// NEON (64-bit Arm): 6 x 16 tiles, 24 of 32 registers accumulate.
#include <arm_neon.h>

#include "kernels.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "neon";
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
constexpr int kBf16TileRows = kTileRows;
constexpr int kBf16TileVectors = kTileVectors;
constexpr int kInputBlock = 256;
constexpr int kPrefetchBytes = 1024;

#include "one_number.inl"

struct V {
  static constexpr int kLanes = 4;
  float32x4_t v;
  static V load(const float* x) { return {vld1q_f32(x)}; }
  static V broadcast(float x) { return {vdupq_n_f32(x)}; }
  static V low_bf16(const uint32_t* x) { return {vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(x), 16))}; }
  static V high_bf16(const uint32_t* x) {
    return {vreinterpretq_f32_u32(vandq_u32(vld1q_u32(x), vdupq_n_u32(0xffff0000)))};
  }
  static V high_bits(const uint32_t* x) { return {vcvtq_f32_u32(vshrq_n_u32(vld1q_u32(x), 9))}; }
  void store(float* x) const { vst1q_f32(x, v); }
};

inline V operator+(V a, V b) { return {vaddq_f32(a.v, b.v)}; }
inline V operator-(V a, V b) { return {vsubq_f32(a.v, b.v)}; }
inline V operator*(V a, V b) { return {vmulq_f32(a.v, b.v)}; }
inline V operator/(V a, V b) { return {vdivq_f32(a.v, b.v)}; }
inline V fma(V a, V b, V c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline V max(V a, V b) { return {vmaxq_f32(a.v, b.v)}; }
inline V min(V a, V b) { return {vminq_f32(a.v, b.v)}; }
inline V round(V a) { return {vrndnq_f32(a.v)}; }
inline V exp2i(V n) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), 23))};
}
inline V exponent(V x) {
  const int32x4_t biased = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(x.v), 23));
  return {vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)))};
}
inline V mantissa(V x) {
  const uint32x4_t fraction = vandq_u32(vreinterpretq_u32_f32(x.v), vdupq_n_u32(0x7fffff));
  return {vreinterpretq_f32_u32(vorrq_u32(fraction, vdupq_n_u32(0x3f800000)))};
}
/// a > b ? yes : no, lane by lane
inline V select_greater(V a, V b, V yes, V no) { return {vbslq_f32(vcgtq_f32(a.v, b.v), yes.v, no.v)}; }

#include "kernels.inl"

}  // namespace

extern const Kernels kNeonKernels;
const Kernels kNeonKernels = kKernels;

}  // namespace magnets::cpu
