// What bf16 and f16 promise, for bounds, and a device that computes in one of them.
#pragma once

#include "../../native/ops/half.h"
#include "../native/subjects.h"

namespace magnets::test {

inline double round_to(ComputeType type, double value) {
  const auto single = static_cast<float>(value);
  return type == ComputeType::f16 ? from_f16(to_f16(single)) : from_bf16(to_bf16(single));
}
/// Half a unit of the last of 8 or 11 bits.
inline double unit_of(ComputeType type) { return type == ComputeType::f16 ? 0x1p-11 : 0x1p-8; }
/// Half the spacing of f16's subnormal numbers; bf16's are too small to matter.
inline double tiny_of(ComputeType type) { return type == ComputeType::f16 ? 0x1p-25 : 0; }
/// What tanh.approx.f32 may be off, relative to itself (PTX ISA).
constexpr double kTanhError = 0x1p-11;
inline const char* name_of(ComputeType type) { return type == ComputeType::f16 ? "f16" : "bf16"; }
/// The format in which a CUDA device that computes so keeps weights.
inline WeightFormat format_of(ComputeType type) {
  return {type == ComputeType::f16 ? WeightFormat::Values::f16 : WeightFormat::Values::bf16};
}
/// The type in which a CUDA device computes with weights that are kept so.
inline ComputeType compute_of(WeightFormat format) {
  return format.values == WeightFormat::Values::f16 ? ComputeType::f16 : ComputeType::bf16;
}

class CudaSubject : public Subject {
 public:
  std::vector<WeightFormat> formats() const override { return {format_of(compute_)}; }
  double rounded(double value) const override { return round_to(compute_, value); }
  double unit() const override { return unit_of(compute_); }
  double tiny() const override { return tiny_of(compute_); }
  double tanh_error() const override { return kTanhError; }
  bool same_bits() const override { return false; }

 protected:
  explicit CudaSubject(ComputeType compute) : compute_(compute) {}
  const ComputeType compute_;
};

}  // namespace magnets::test
