// Device memory of the CPU.
#pragma once

#include <algorithm>

#include "memory.h"

namespace magnets::cpu {

/// Floats from one row of activations to the next, whole cache lines: padded where the rows of a tile would all fall
/// into a few cache sets.
inline size_t activation_stride(int columns) {
  const size_t stride = (static_cast<size_t>(columns) + 15) / 16 * 16;
  return stride % 256 == 0 ? stride + 16 : stride;
}

/// Rows of one element type. Activations are f32.
class CpuBuffer : public Buffer {
 public:
  CpuBuffer(ElementType type, int rows, int columns);
  static size_t bytes_of(ElementType type, int rows, int columns) {
    return rows * stride_of(type, columns) * size_of(type);
  }

  void discard_rows(int first) override {
    const size_t bytes = cpu::bytes_of(bytes_), kept = std::min(bytes, first * stride_ * element_size_);
    give_back_pages(bytes_.get() + kept, bytes - kept);
  }

  /// Rows of so many columns, as many as fit.
  void reshape(int columns) {
    columns_ = columns;
    stride_ = stride_of(type_, columns);
  }

  int columns() const { return columns_; }
  size_t stride() const { return stride_; }  // elements
  size_t element_size() const { return element_size_; }
  char* bytes() const { return bytes_.get(); }
  template <class T>
  T* row(int index) const {
    return reinterpret_cast<T*>(bytes_.get()) + index * stride_;
  }

 private:
  static size_t size_of(ElementType type) { return type == ElementType::u8 ? 1 : 4; }
  static size_t stride_of(ElementType type, int columns) {
    return type == ElementType::activation ? activation_stride(columns) : columns;
  }

  ElementType type_;
  int columns_;
  size_t element_size_;
  size_t stride_;
  AlignedArray<char> bytes_;
};

inline const CpuBuffer& cpu(const Buffer& buffer) { return static_cast<const CpuBuffer&>(buffer); }

}  // namespace magnets::cpu
