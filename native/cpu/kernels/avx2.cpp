// AVX2 with FMA: 3 x 32 tiles, 12 of 16 registers accumulate. Of bf16 weights 6 x 16: each shift and mask that widens
// them then serves six rows, and there is a register for the mask.
#include <immintrin.h>

#include "kernels.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "avx2";
constexpr int kTileRows = 3;
constexpr int kTileVectors = 4;
constexpr int kBf16TileRows = 6;
constexpr int kBf16TileVectors = 2;
constexpr int kInputBlock = 1024;
constexpr int kPrefetchBytes = 0;

struct V {
  static constexpr int kLanes = 8;
  __m256 v;
  static V load(const float* x) { return {_mm256_loadu_ps(x)}; }
  static V broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static V low_bf16(const uint32_t* x) { return {_mm256_castsi256_ps(_mm256_slli_epi32(integers(x), 16))}; }
  static V high_bf16(const uint32_t* x) {
    return {_mm256_castsi256_ps(_mm256_and_si256(integers(x), _mm256_set1_epi32(static_cast<int>(0xffff0000))))};
  }
  static V high_bits(const uint32_t* x) { return {_mm256_cvtepi32_ps(_mm256_srli_epi32(integers(x), 9))}; }
  void store(float* x) const { _mm256_storeu_ps(x, v); }

 private:
  static __m256i integers(const uint32_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
};

inline V operator+(V a, V b) { return {_mm256_add_ps(a.v, b.v)}; }
inline V operator-(V a, V b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline V operator*(V a, V b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline V operator/(V a, V b) { return {_mm256_div_ps(a.v, b.v)}; }
inline V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline V max(V a, V b) { return {_mm256_max_ps(a.v, b.v)}; }
inline V min(V a, V b) { return {_mm256_min_ps(a.v, b.v)}; }
inline V round(V a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline V exp2i(V n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
}
inline V exponent(V x) {
  const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(x.v), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))};
}
inline V mantissa(V x) {
  const __m256i fraction = _mm256_and_si256(_mm256_castps_si256(x.v), _mm256_set1_epi32(0x7fffff));
  return {_mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)))};
}
/// a > b ? yes : no, lane by lane
inline V select_greater(V a, V b, V yes, V no) {
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ))};
}

struct W {
  static constexpr int kLanes = 4;
  __m256i v;
  static W broadcast(uint32_t x) { return {_mm256_set1_epi64x(x)}; }
  static W count_from(int n) { return {_mm256_add_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3))}; }
  void store(uint64_t* x) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(x), v); }
};

inline W operator^(W a, W b) { return {_mm256_xor_si256(a.v, b.v)}; }
inline W times(W a, W b) { return {_mm256_mul_epu32(a.v, b.v)}; }
inline W high(W a) { return {_mm256_srli_epi64(a.v, 32)}; }

#include "kernels.inl"

}  // namespace

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = kKernels;

}  // namespace magnets::cpu
