// AVX-VNNI, which processors without AVX-512 have: one instruction multiplies and adds up four inputs of 8 outputs.
#include <immintrin.h>

#include "int8.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "avx-vnni";
constexpr int kParts = 1;
constexpr int kOrder[] = {0, 1, 2, 3};
using Input = int8_t;

#include "int8_avx2.inl"

template <int>
inline I weights(const uint8_t* panel) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel))};
}
template <int>
inline I inputs(const int8_t* q) {
  int32_t group;
  __builtin_memcpy(&group, q, sizeof group);
  return {_mm256_set1_epi32(group)};
}
inline I dot(I total, I w, I x) { return {_mm256_dpbusd_avx_epi32(total.v, w.v, x.v)}; }

#include "int8.inl"

}  // namespace

extern const Int8Kernels kInt8AvxVnniKernels;
const Int8Kernels kInt8AvxVnniKernels = kInt8Kernels;

}  // namespace magnets::cpu
