// The numbers of a HostMatrix on their way into the memory of the CPU, checked.
#pragma once

#include <cmath>

#include "../ops/half.h"

namespace magnets::cpu {

/// Throws ERR_UNSUPPORTED where the CPU does not keep weights so.
inline void check_format(WeightFormat format) {
  if (format.values == WeightFormat::Values::f16) {
    throw Error("ERR_UNSUPPORTED", "expected weights kept as f32, bf16 or int8 but received f16");
  }
}

/// The same of tables.
inline void check_table_format(WeightFormat format) {
  if (format.values == WeightFormat::Values::f16 || format.values == WeightFormat::Values::int8) {
    throw Error("ERR_UNSUPPORTED", std::string("expected a table kept as f32 or bf16 but received ") +
                                       (format.values == WeightFormat::Values::f16 ? "f16" : "int8"));
  }
}

[[noreturn]] inline void refuse_weight(const char* expected, int row, int column) {
  throw Error("ERR_CHECKPOINT", "expected " + std::string(expected) + " but [" + std::to_string(row) + ", " +
                                    std::to_string(column) + "] is not");
}

inline float f32_weight(const HostMatrix& matrix, int row, int column) {
  const float value = element(matrix, row, column);
  if (!std::isfinite(value)) refuse_weight("finite values", row, column);
  return value;
}

inline uint16_t bf16_weight(const HostMatrix& matrix, int row, int column) {
  const uint16_t bits = to_bf16(f32_weight(matrix, row, column));
  if (!std::isfinite(from_bf16(bits))) refuse_weight("values within the range of bf16", row, column);
  return bits;
}

}  // namespace magnets::cpu
