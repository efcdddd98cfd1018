#include "packed_int8.h"

#include <algorithm>

#include "weight_values.h"

namespace magnets::cpu {

namespace {

int groups_of(int in) { return in / kInputGroup + (in % kInputGroup > 0); }

constexpr uint8_t kZero = 128;

/// What is smaller is near enough to zero. The same rounding is written in lib/checkpoint/convert/numbers.ts.
constexpr float kLeast = 0x1p-100f;

/// The scale of a row and its weights as multiples of it: what a file says, or the largest weight is 127.
float quantize_row(const HostMatrix& weight, int row, int8_t* values) {
  if (weight.dtype == DType::i8) {
    const float scale = row_scale(weight, row);
    if (!std::isfinite(128 * scale)) {
      throw Error("ERR_CHECKPOINT",
                  "expected scales of finite weights but that of row " + std::to_string(row) + " is not");
    }
    std::memcpy(values, static_cast<const int8_t*>(weight.data) + static_cast<size_t>(row) * weight.columns,
                weight.columns);
    return scale;
  }
  float largest = kLeast;
  for (int i = 0; i < weight.columns; ++i) largest = std::max(largest, std::abs(f32_weight(weight, row, i)));
  const float scale = largest / 127;
  for (int i = 0; i < weight.columns; ++i) {
    values[i] = static_cast<int8_t>(std::nearbyint(element(weight, row, i) / scale));
  }
  return scale;
}

}  // namespace

PackedInt8::PackedInt8(const HostMatrix& weight, const Int8Kernels& kernels, ThreadPool& pool)
    : kernels_(kernels), panel_size_(static_cast<size_t>(groups_of(weight.columns)) * kInputGroup * kPanel) {
  if (weight.columns > kMostInt8Inputs) {
    throw Error("ERR_UNSUPPORTED", "expected at most " + std::to_string(kMostInt8Inputs) +
                                       " inputs of weights kept as int8 but received " +
                                       std::to_string(weight.columns));
  }
  const int panels = panels_of(weight.rows);
  values_ = allocate_array<uint8_t>(panels * panel_size_);
  scales_ = allocate_array<float>(static_cast<size_t>(panels) * kPanel, true);
  const size_t row_size = weight.columns;
  const auto rows = allocate_array<int8_t>(pool.threads() * row_size);
  pool.run(panels, [&](int panel, int thread) {
    uint8_t* const to = values_.get() + panel * panel_size_;
    std::fill_n(to, panel_size_, kZero);
    int8_t* const row = rows.get() + thread * row_size;
    const int first = panel * kPanel;
    const int outputs = std::min(kPanel, weight.rows - first);
    for (int o = 0; o < outputs; ++o) {
      scales_[first + o] = quantize_row(weight, first + o, row);
      for (int group = 0; group < groups_of(weight.columns); ++group) {
        for (int place = 0; place < kInputGroup; ++place) {
          const int i = group * kInputGroup + kernels_.order[place];
          if (i < weight.columns) to[(group * kPanel + o) * kInputGroup + place] = static_cast<uint8_t>(row[i] + kZero);
        }
      }
    }
  });
}

}  // namespace magnets::cpu
