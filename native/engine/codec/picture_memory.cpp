#include "picture_memory.h"

#include <algorithm>
#include <utility>

namespace magnets {

PictureBuffer PictureMemory::take(Backend& backend, Stream& stream, int rows, int channels) {
  const size_t bytes = backend.buffer_bytes(ElementType::activation, rows, channels);
  PictureBuffer* found = nullptr;
  for (PictureBuffer& spare : spare_) {
    const bool fits = spare.rows != nullptr && spare.bytes >= bytes;
    if (fits && (found == nullptr || spare.bytes < found->bytes)) found = &spare;
  }
  if (found == nullptr) {
    stream.synchronize();  // what is spare may be in use
    clear();
    return {backend.allocate(ElementType::activation, rows, channels), bytes};
  }
  backend.reshape(*found->rows, rows, channels);
  return std::exchange(*found, {});
}

void PictureMemory::give(PictureBuffer picture) noexcept {
  if (picture.rows == nullptr) return;
  const auto is_free = [](const PictureBuffer& place) { return place.rows == nullptr; };
  std::swap(*std::find_if(spare_.begin(), spare_.end(), is_free), picture);
}

size_t PictureMemory::bytes() const {
  size_t sum = 0;
  for (const PictureBuffer& spare : spare_) sum += spare.bytes;
  return sum;
}

}  // namespace magnets
