// Plain C++ on four lanes, which any compiler turns into what its baseline has. Compiled without contraction of a * b +
// c, so that a row's result cannot depend on the tile it falls in.
#include <cstring>

#include "kernels.h"

namespace magnets::cpu {

namespace {

constexpr const char* kName = "portable";
constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;
constexpr int kBf16TileRows = kTileRows;
constexpr int kBf16TileVectors = kTileVectors;
constexpr int kInputBlock = 256;
constexpr int kPrefetchBytes = 1024;

#include "one_number.inl"

struct V {
  static constexpr int kLanes = 4;
  float v[kLanes];
  static V load(const float* x) {
    V result;
    std::memcpy(result.v, x, sizeof result.v);
    return result;
  }
  static V broadcast(float x) { return {{x, x, x, x}}; }
  static V low_bf16(const uint32_t* x) { return from_bits(x[0] << 16, x[1] << 16, x[2] << 16, x[3] << 16); }
  static V high_bf16(const uint32_t* x) {
    return from_bits(x[0] & 0xffff0000, x[1] & 0xffff0000, x[2] & 0xffff0000, x[3] & 0xffff0000);
  }
  static V high_bits(const uint32_t* x) {
    return {{static_cast<float>(x[0] >> 9), static_cast<float>(x[1] >> 9), static_cast<float>(x[2] >> 9),
             static_cast<float>(x[3] >> 9)}};
  }
  static V from_bits(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t bits[kLanes] = {a, b, c, d};
    V result;
    std::memcpy(result.v, bits, sizeof bits);
    return result;
  }
  void store(float* x) const { std::memcpy(x, v, sizeof v); }
};

template <class F>
inline V each(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline V operator+(V a, V b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline V operator-(V a, V b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline V operator*(V a, V b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline V operator/(V a, V b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline V fma(V a, V b, V c) { return a * b + c; }
inline V max(V a, V b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline V min(V a, V b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline V round(V a) {  // adding and subtracting 1.5 * 2^23 leaves a whole number
  const V magic = V::broadcast(12582912.0f);
  return (a + magic) - magic;
}
inline V exp2i(V n) {
  return each([&](int i) { return float_of(static_cast<uint32_t>(static_cast<int>(n.v[i]) + 127) << 23); });
}
inline V exponent(V x) {
  return each([&](int i) { return static_cast<float>(static_cast<int>(bits_of(x.v[i]) >> 23) - 127); });
}
inline V mantissa(V x) {
  return each([&](int i) { return float_of((bits_of(x.v[i]) & 0x7fffff) | 0x3f800000); });
}
/// a > b ? yes : no, lane by lane
inline V select_greater(V a, V b, V yes, V no) {
  return each([&](int i) { return a.v[i] > b.v[i] ? yes.v[i] : no.v[i]; });
}

#include "kernels.inl"

}  // namespace

extern const Kernels kPortableKernels;
const Kernels kPortableKernels = kKernels;

}  // namespace magnets::cpu
