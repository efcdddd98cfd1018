#include <algorithm>

#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

CpuBuffer::CpuBuffer(ElementType type, int rows, int columns)
    : element_size_(type == ElementType::u8 ? 1 : 4),
      stride_(type == ElementType::activation ? round_up(columns, 16) + 16 : columns),
      bytes_(allocate_array<char>(rows * stride_ * element_size_)) {}

CpuKvCache::CpuKvCache(int layers, int branches, int heads, int head_dim, int positions)
    : branches_(branches),
      heads_(heads),
      positions_(positions),
      key_size_(round_up(positions, kPanel) * head_dim),
      value_size_(round_up(head_dim, kPanel) * positions),
      // Zeroed: the padding of a panel is multiplied, though nobody reads the result.
      keys_(allocate_array<float>(static_cast<size_t>(layers) * branches * heads * key_size_, true)),
      values_(allocate_array<float>(static_cast<size_t>(layers) * branches * heads * value_size_, true)) {}

void CpuStream::upload(const void* source, int rows, int columns, Buffer& target) {
  const CpuBuffer& buffer = cpu(target);
  const size_t bytes = columns * buffer.element_size();
  for (int row = 0; row < rows; ++row) {
    std::memcpy(buffer.bytes() + row * buffer.stride() * buffer.element_size(),
                static_cast<const char*>(source) + row * bytes, bytes);
  }
}

void CpuStream::download(const Buffer& source, int rows, int columns, void* target) {
  const CpuBuffer& buffer = cpu(source);
  const size_t bytes = columns * buffer.element_size();
  for (int row = 0; row < rows; ++row) {
    std::memcpy(static_cast<char*>(target) + row * bytes,
                buffer.bytes() + row * buffer.stride() * buffer.element_size(), bytes);
  }
}

}  // namespace magnets::cpu
