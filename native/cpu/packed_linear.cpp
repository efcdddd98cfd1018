#include "packed_linear.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "../convert.h"

namespace magnets::cpu {

PackedLinear::PackedLinear(const HostMatrix& weight, const float* bias, DType dtype, ThreadPool& pool)
    : in_(weight.columns), dtype_(dtype) {
  if (dtype == DType::f16) throw Error("ERR_UNSUPPORTED", "expected weights kept as f32 or bf16 but received f16");
  const int panels = (weight.rows + kPanel - 1) / kPanel;
  const size_t rows = static_cast<size_t>(panels) * in_;
  if (dtype == DType::f32) {
    f32_ = allocate_array<float>(rows * kPanel);
  } else {
    bf16_ = allocate_array<uint32_t>(rows * (kPanel / 2));
  }
  bias_ = allocate_array<float>(static_cast<size_t>(panels) * kPanel, true);
  if (bias != nullptr) std::copy_n(bias, weight.rows, bias_.get());

  pool.run(panels, [&](int panel, int) {
    float row[kPanel];
    for (int i = 0; i < in_; ++i) {
      for (int j = 0; j < kPanel; ++j) {
        const int out = panel * kPanel + j;
        row[j] = out < weight.rows ? element(weight, out, i) : 0.0f;
        if (!std::isfinite(row[j])) {
          throw Error("ERR_CHECKPOINT",
                      "expected finite values but [" + std::to_string(out) + ", " + std::to_string(i) + "] is not");
        }
      }
      const size_t at = static_cast<size_t>(panel) * in_ + i;
      if (dtype_ == DType::f32) {
        std::copy_n(row, kPanel, f32_.get() + at * kPanel);
      } else {
        uint32_t* words = bf16_.get() + at * (kPanel / 2);
        for (int j = 0; j < kPanel / 2; ++j) {
          words[j] = static_cast<uint32_t>(to_bf16(row[j + kPanel / 2])) << 16 | to_bf16(row[j]);
        }
      }
    }
  });
}

float PackedLinear::weight(int out, int in) const {
  const size_t row = static_cast<size_t>(out / kPanel) * in_ + in;
  const int column = out % kPanel;
  if (dtype_ == DType::f32) return f32_[row * kPanel + column];
  const uint32_t word = bf16_[row * (kPanel / 2) + column % (kPanel / 2)];
  return from_bf16(static_cast<uint16_t>(column < kPanel / 2 ? word : word >> 16));
}

}  // namespace magnets::cpu
