#include "buffer.h"

namespace magnets::cpu {

CpuBuffer::CpuBuffer(ElementType type, int rows, int columns)
    : type_(type),
      columns_(columns),
      element_size_(size_of(type)),
      stride_(stride_of(type, columns)),
      bytes_(allocate_array<char>(bytes_of(type, rows, columns))) {}

}  // namespace magnets::cpu
