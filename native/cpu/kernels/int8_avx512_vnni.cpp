// AVX-512 VNNI: one instruction multiplies and adds up four inputs of 16 outputs. 12 x 32 tiles.
#include <immintrin.h>

#include "int8.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "avx512-vnni";
constexpr int kParts = 1;
constexpr int kOrder[] = {0, 1, 2, 3};
using Input = int8_t;

#include "int8_avx512.inl"

template <int>
inline I weights(const uint8_t* panel) {
  return {_mm512_loadu_si512(panel)};
}
template <int>
inline I inputs(const int8_t* q) {
  int32_t group;
  __builtin_memcpy(&group, q, sizeof group);
  return {_mm512_set1_epi32(group)};
}
inline I dot(I total, I w, I x) { return {_mm512_dpbusd_epi32(total.v, w.v, x.v)}; }

#include "int8.inl"

}  // namespace

extern const Int8Kernels kInt8Avx512VnniKernels;
const Int8Kernels kInt8Avx512VnniKernels = kInt8Kernels;

}  // namespace magnets::cpu
