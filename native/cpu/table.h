// A table of vectors, row-major: [entries, columns] of f32 or bf16.
#pragma once

#include "memory.h"
#include "thread_pool.h"

namespace magnets::cpu {

class CpuTable : public Table {
 public:
  /// Throws as Backend::table says.
  CpuTable(const HostMatrix& entries, WeightFormat format, ThreadPool& pool);

  size_t bytes() const override { return bytes_of(f32_) + bytes_of(bf16_); }

  /// y[:columns] += the first columns of an entry
  void add(int entry, int columns, float* y) const;

 private:
  size_t columns_;
  AlignedArray<float> f32_;  // one of these two is there
  AlignedArray<uint16_t> bf16_;
};

inline const CpuTable& cpu(const Table& table) { return static_cast<const CpuTable&>(table); }

}  // namespace magnets::cpu
