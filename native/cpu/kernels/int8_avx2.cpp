// AVX2: bytes are widened to 16 bits, whose products are added in pairs to 32: nothing saturates.
#include <immintrin.h>

#include "int8.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "avx2";
constexpr int kParts = 2;
constexpr int kOrder[] = {0, 2, 1, 3};
using Input = int16_t;

#include "int8_avx2.inl"

/// Two of the four inputs of each output, in 16 bits: the even bytes, or the odd ones.
template <int kPart>
inline I weights(const uint8_t* panel) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
  return {kPart == 0 ? _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)) : _mm256_srli_epi16(bytes, 8)};
}
template <int kPart>
inline I inputs(const int16_t* q) {
  int32_t pair;
  __builtin_memcpy(&pair, q + 2 * kPart, sizeof pair);
  return {_mm256_set1_epi32(pair)};
}
inline I dot(I total, I w, I x) {
  total.v = _mm256_add_epi32(total.v, _mm256_madd_epi16(w.v, x.v));
  // Else GCC adds products up among themselves first, for which there are no registers.
  asm("" : "+x"(total.v));
  return total;
}

#include "int8.inl"

}  // namespace

extern const Int8Kernels kInt8Avx2Kernels;
const Int8Kernels kInt8Avx2Kernels = kInt8Kernels;

}  // namespace magnets::cpu
