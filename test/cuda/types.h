// What bf16 and f16 promise, for bounds.
#pragma once

#include "../../native/convert.h"

namespace magnets::test {

inline double round_to(DType dtype, double value) {
  const auto single = static_cast<float>(value);
  return dtype == DType::f16 ? from_f16(to_f16(single)) : from_bf16(to_bf16(single));
}
/// Half a unit of the last of 8 or 11 bits.
inline double unit_of(DType dtype) { return dtype == DType::f16 ? 0x1p-11 : 0x1p-8; }
/// Half the spacing of f16's subnormal numbers; bf16's are too small to matter.
inline double tiny_of(DType dtype) { return dtype == DType::f16 ? 0x1p-25 : 0; }
inline const char* name_of(DType dtype) { return dtype == DType::f16 ? "f16" : "bf16"; }

}  // namespace magnets::test
