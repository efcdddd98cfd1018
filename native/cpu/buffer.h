// Device memory of the CPU.
#pragma once

#include "memory.h"

namespace magnets::cpu {

/// Floats from one row of activations to the next: padded, so that rows of a power of two do not all fall into the same
/// cache sets.
inline size_t activation_stride(int columns) { return (static_cast<size_t>(columns) + 15) / 16 * 16 + 16; }

/// Rows of one element type. Activations are f32.
class CpuBuffer : public Buffer {
 public:
  CpuBuffer(ElementType type, int rows, int columns);

  int columns() const { return columns_; }
  size_t stride() const { return stride_; }  // elements
  size_t element_size() const { return element_size_; }
  char* bytes() const { return bytes_.get(); }
  template <class T>
  T* row(int index) const {
    return reinterpret_cast<T*>(bytes_.get()) + index * stride_;
  }

 private:
  int columns_;
  size_t element_size_;
  size_t stride_;
  AlignedArray<char> bytes_;
};

inline const CpuBuffer& cpu(const Buffer& buffer) { return static_cast<const CpuBuffer&>(buffer); }

}  // namespace magnets::cpu
