#include "picture_memory.h"

#include <algorithm>
#include <utility>

namespace magnets {

PictureBuffer PictureMemory::take(Backend& backend, int rows, int channels) {
  const size_t bytes = backend.buffer_bytes(ElementType::activation, rows, channels);
  PictureBuffer* found = nullptr;
  for (PictureBuffer& spare : spare_) {
    const bool fits = spare.rows != nullptr && spare.bytes >= bytes;
    if (fits && (found == nullptr || spare.bytes < found->bytes)) found = &spare;
  }
  if (found == nullptr) {
    clear();
    return {backend.allocate(ElementType::activation, rows, channels), bytes};
  }
  backend.reshape(*found->rows, rows, channels);
  return std::exchange(*found, {});
}

void PictureMemory::give(const Backend& backend, PictureBuffer picture) noexcept {
  if (picture.rows == nullptr || !backend.reshapes()) return;
  const auto smallest = [](const PictureBuffer& a, const PictureBuffer& b) { return a.bytes < b.bytes; };
  std::swap(*std::min_element(spare_.begin(), spare_.end(), smallest), picture);
}

size_t PictureMemory::bytes() const {
  size_t sum = 0;
  for (const PictureBuffer& spare : spare_) sum += spare.bytes;
  return sum;
}

}  // namespace magnets
