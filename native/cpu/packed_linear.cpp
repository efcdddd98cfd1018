#include "packed_linear.h"

#include <algorithm>

#include "weight_values.h"

namespace magnets::cpu {

PackedLinear::PackedLinear(const HostMatrix& weight, const float* bias, WeightFormat format, ThreadPool& pool)
    : in_(weight.columns) {
  check_format(format);
  const int panels = panels_of(weight.rows);
  const size_t rows = static_cast<size_t>(panels) * in_;
  if (format.values == WeightFormat::Values::f32) {
    f32_ = allocate_array<float>(rows * kPanel);
  } else {
    bf16_ = allocate_array<uint32_t>(rows * (kPanel / 2));
  }
  bias_ = allocate_array<float>(static_cast<size_t>(panels) * kPanel, true);
  if (bias != nullptr) std::copy_n(bias, weight.rows, bias_.get());

  pool.run(panels, [&](int panel, int) {
    const int first = panel * kPanel;
    const int outputs = std::min(kPanel, weight.rows - first);
    for (int i = 0; i < in_; ++i) {
      const size_t at = static_cast<size_t>(panel) * in_ + i;
      if (f32_ != nullptr) {
        float row[kPanel] = {};
        for (int j = 0; j < outputs; ++j) row[j] = f32_weight(weight, first + j, i);
        std::copy_n(row, kPanel, f32_.get() + at * kPanel);
      } else {
        uint16_t row[kPanel] = {};
        for (int j = 0; j < outputs; ++j) row[j] = bf16_weight(weight, first + j, i);
        uint32_t* pairs = bf16_.get() + at * (kPanel / 2);
        for (int j = 0; j < kPanel / 2; ++j) pairs[j] = static_cast<uint32_t>(row[j + kPanel / 2]) << 16 | row[j];
      }
    }
  });
}

}  // namespace magnets::cpu
