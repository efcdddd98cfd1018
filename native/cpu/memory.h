// Aligned memory that says how much was asked for when there is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "../ops/types.h"

namespace magnets::cpu {

constexpr size_t kAlignment = 64;

/// Of kAlignment; null where there is none. Many bytes are mapped by themselves, so that they go back to the system
/// when they are freed: the C library would keep pictures of up to 32 MB in a heap that shrinks at its end alone.
void* allocate_bytes(size_t bytes) noexcept;
void free_bytes(void* memory, size_t bytes) noexcept;
/// The whole pages of `bytes` from `memory` on, which is in use, go back to the system, where it takes them. Until it
/// is written again, each byte is zero or what it was.
void give_back_pages(void* memory, size_t bytes) noexcept;
/// Whatever the C library keeps of memory that was freed goes back to the system, where it can be asked to.
void give_back_freed() noexcept;

struct FreeBytes {
  size_t bytes = 0;
  void operator()(void* memory) const { free_bytes(memory, bytes); }
};

template <class T>
using AlignedArray = std::unique_ptr<T[], FreeBytes>;

/// 0 where there is none.
template <class T>
size_t bytes_of(const AlignedArray<T>& array) {
  return array != nullptr ? array.get_deleter().bytes : 0;
}

/// `size` elements, zeroed where asked. Throws ERR_OUT_OF_MEMORY.
template <class T>
AlignedArray<T> allocate_array(size_t size, bool zeroed = false) {
  const size_t bytes = size <= SIZE_MAX / sizeof(T) ? (size > 0 ? size : 1) * sizeof(T) : SIZE_MAX;
  void* memory = bytes == SIZE_MAX ? nullptr : allocate_bytes(bytes);
  if (memory == nullptr) throw Error("ERR_OUT_OF_MEMORY", "cannot allocate " + std::to_string(bytes) + " bytes");
  if (zeroed) std::memset(memory, 0, bytes);
  return AlignedArray<T>(static_cast<T*>(memory), FreeBytes{bytes});
}

/// Memory that an operation needs while it runs, kept for the next one.
class Scratch {
 public:
  /// At least `size` elements of any content. Where there is no memory it throws, and stays as it is.
  template <class T>
  T* get(size_t size) {
    const size_t bytes = size * sizeof(T);
    if (bytes > bytes_) {
      memory_ = allocate_array<char>(bytes);
      bytes_ = bytes;  // not before there is so much: the next call relies on it
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  AlignedArray<char> memory_;
  size_t bytes_ = 0;
};

}  // namespace magnets::cpu
