// AVX-512: 14 x 32 tiles, 28 of 32 registers accumulate.
#include <immintrin.h>

#include "kernels.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "avx512";
constexpr int kTileRows = 14;
constexpr int kTileVectors = 2;
constexpr int kBf16TileRows = kTileRows;
constexpr int kBf16TileVectors = kTileVectors;
constexpr int kInputBlock = 1024;
constexpr int kPrefetchBytes = 1024;

struct V {
  static constexpr int kLanes = 16;
  __m512 v;
  static V load(const float* x) { return {_mm512_loadu_ps(x)}; }
  static V broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static V low_bf16(const uint32_t* x) { return {_mm512_castsi512_ps(_mm512_slli_epi32(integers(x), 16))}; }
  static V high_bf16(const uint32_t* x) {
    return {_mm512_castsi512_ps(_mm512_and_si512(integers(x), _mm512_set1_epi32(static_cast<int>(0xffff0000))))};
  }
  static V high_bits(const uint32_t* x) { return {_mm512_cvtepi32_ps(_mm512_srli_epi32(integers(x), 9))}; }
  void store(float* x) const { _mm512_storeu_ps(x, v); }

 private:
  static __m512i integers(const uint32_t* x) { return _mm512_loadu_si512(x); }
};

inline V operator+(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
inline V operator-(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline V operator*(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline V operator/(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
inline V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }
inline V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
inline V round(V a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline V exp2i(V n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
inline V exponent(V x) {
  const __m512i biased = _mm512_srli_epi32(_mm512_castps_si512(x.v), 23);
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(biased, _mm512_set1_epi32(127)))};
}
inline V mantissa(V x) {
  const __m512i fraction = _mm512_and_si512(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x7fffff));
  return {_mm512_castsi512_ps(_mm512_or_si512(fraction, _mm512_set1_epi32(0x3f800000)))};
}
/// a > b ? yes : no, lane by lane
inline V select_greater(V a, V b, V yes, V no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ), no.v, yes.v)};
}

struct W {
  static constexpr int kLanes = 8;
  __m512i v;
  static W broadcast(uint32_t x) { return {_mm512_set1_epi64(x)}; }
  static W count_from(int n) {
    return {_mm512_add_epi64(_mm512_set1_epi64(n), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7))};
  }
  void store(uint64_t* x) const { _mm512_storeu_si512(x, v); }
};

inline W operator^(W a, W b) { return {_mm512_xor_si512(a.v, b.v)}; }
inline W times(W a, W b) { return {_mm512_mul_epu32(a.v, b.v)}; }
inline W high(W a) { return {_mm512_srli_epi64(a.v, 32)}; }

#include "kernels.inl"

}  // namespace

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = kKernels;

}  // namespace magnets::cpu
