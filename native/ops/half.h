// f16 and bf16 to f32 and back, and the elements of a HostMatrix.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "types.h"

namespace magnets {

inline float from_bf16(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

/// Round to nearest, ties to even. A value that rounds past the largest bf16 becomes infinite.
inline uint16_t to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float from_f16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16;
  const uint32_t exponent = (value >> 10) & 0x1f;
  const uint32_t fraction = value & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), std::bit_cast<float>(sign));
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

/// Round to nearest, ties to even. A value that rounds past the largest f16 becomes infinite.
inline uint16_t to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  // Adding 0.5 to a subnormal f16 moves its last bit to the last bit of an f32.
  if (magnitude < 0x38800000) {
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) & 0x7fff));
  }
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
}

/// The scale of a row of i8.
inline float row_scale(const HostMatrix& matrix, int row) {
  float scale;
  std::memcpy(&scale, static_cast<const unsigned char*>(matrix.scales) + row * sizeof scale, sizeof scale);
  return scale;
}

/// matrix[row, column] as f32; the memory need not be aligned.
inline float element(const HostMatrix& matrix, int row, int column) {
  const size_t index = static_cast<size_t>(row) * matrix.columns + column;
  const auto* bytes = static_cast<const unsigned char*>(matrix.data);
  if (matrix.dtype == DType::i8) return static_cast<float>(static_cast<int8_t>(bytes[index])) * row_scale(matrix, row);
  if (matrix.dtype == DType::f32) {
    float value;
    std::memcpy(&value, bytes + index * sizeof value, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes + index * sizeof bits, sizeof bits);
  return matrix.dtype == DType::f16 ? from_f16(bits) : from_bf16(bits);
}

}  // namespace magnets
