#include "table.h"

#include "weight_values.h"

namespace magnets::cpu {

CpuTable::CpuTable(const HostMatrix& entries, WeightFormat format, ThreadPool& pool) : columns_(entries.columns) {
  check_table_format(format);
  const size_t size = entries.rows * columns_;
  if (format.values == WeightFormat::Values::f32) {
    f32_ = allocate_array<float>(size);
  } else {
    bf16_ = allocate_array<uint16_t>(size);
  }
  pool.run(entries.rows, [&](int entry, int) {
    for (int i = 0; i < entries.columns; ++i) {
      const size_t at = entry * columns_ + i;
      if (f32_ != nullptr) {
        f32_[at] = f32_weight(entries, entry, i);
      } else {
        bf16_[at] = bf16_weight(entries, entry, i);
      }
    }
  });
}

void CpuTable::add(int entry, int columns, float* y) const {
  const size_t first = entry * columns_;
  if (f32_ != nullptr) {
    for (int i = 0; i < columns; ++i) y[i] += f32_[first + i];
  } else {
    for (int i = 0; i < columns; ++i) y[i] += from_bf16(bf16_[first + i]);
  }
}

}  // namespace magnets::cpu
