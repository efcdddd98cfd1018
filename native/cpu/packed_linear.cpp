#include "packed_linear.h"

#include <algorithm>

#include "weight_values.h"

namespace magnets::cpu {

PackedLinear::PackedLinear(const HostMatrix& weight, const float* bias, WeightFormat format, const Kernels& kernels,
                           ThreadPool& pool)
    : in_(weight.columns) {
  check_format(format);
  const int panels = panels_of(weight.rows);
  bias_ = allocate_array<float>(static_cast<size_t>(panels) * kPanel, true);
  if (bias != nullptr) std::copy_n(bias, weight.rows, bias_.get());
  if (format.values == WeightFormat::Values::int8) {
    int8_ = std::make_unique<PackedInt8>(weight, int8_kernels(kernels), pool);
    return;
  }
  const size_t rows = static_cast<size_t>(panels) * in_;
  if (format.values == WeightFormat::Values::f32) {
    f32_ = allocate_array<float>(rows * kPanel);
  } else {
    bf16_ = allocate_array<uint32_t>(rows * (kPanel / 2));
  }

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

size_t PackedLinear::bytes() const {
  return bytes_of(f32_) + bytes_of(bf16_) + bytes_of(bias_) + (int8_ != nullptr ? int8_->bytes() : 0);
}

float PackedLinear::weight(int out, int in) const {
  const size_t row = static_cast<size_t>(out / kPanel) * in_ + in;
  const int column = out % kPanel;
  if (f32_ != nullptr) return f32_[row * kPanel + column];
  const uint32_t pair = bf16_[row * (kPanel / 2) + column % (kPanel / 2)];
  return from_bf16(static_cast<uint16_t>(column < kPanel / 2 ? pair : pair >> 16));
}

void tile_of(const Kernels& kernels, int columns, int rows, const float* a, size_t a_stride, PanelRows panel, int k,
             bool accumulate, const float* bias, float* c, size_t c_stride, Ahead ahead) {
  const auto tile = [&](float* c, size_t c_stride) {
    if (panel.bf16 != nullptr) {
      kernels.tile_bf16(rows, a, a_stride, panel.bf16, k, accumulate, bias, c, c_stride, ahead);
    } else {
      kernels.tile(rows, a, a_stride, panel.f32, k, accumulate, bias, c, c_stride, ahead);
    }
  };
  if (columns == kPanel) return tile(c, c_stride);
  constexpr int kMostRows = 16;
  alignas(kAlignment) float beside[kMostRows * kPanel];
  if (accumulate) {
    std::fill_n(beside, rows * kPanel, 0.0f);
    for (int i = 0; i < rows; ++i) std::copy_n(c + i * c_stride, columns, beside + i * kPanel);
  }
  tile(beside, kPanel);
  for (int i = 0; i < rows; ++i, c += c_stride) {
    for (int j = 0; j < columns; ++j) c[j] = beside[i * kPanel + j];
  }
}

}  // namespace magnets::cpu
