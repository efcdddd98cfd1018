#include "cpu_stream.h"

namespace magnets::cpu {

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

void CpuStream::put(std::initializer_list<Put> puts) {
  for (const Put& put : puts) upload(put.values.data(), 1, static_cast<int>(put.values.size()), put.target);
}

}  // namespace magnets::cpu
