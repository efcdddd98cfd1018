#include "buffer.h"

namespace magnets::cpu {

CpuBuffer::CpuBuffer(ElementType type, int rows, int columns)
    : columns_(columns),
      element_size_(type == ElementType::u8 ? 1 : 4),
      stride_(type == ElementType::activation ? activation_stride(columns) : columns),
      bytes_(allocate_array<char>(rows * stride_ * element_size_)) {}

}  // namespace magnets::cpu
