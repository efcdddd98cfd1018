// Aligned memory that says how much was asked for when there is none.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "../backend.h"

namespace magnets::cpu {

constexpr size_t kAlignment = 64;

struct AlignedDelete {
  void operator()(void* memory) const { ::operator delete (memory, std::align_val_t{kAlignment}); }
};

template <class T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;

/// `size` elements, zeroed where asked.
template <class T>
AlignedArray<T> allocate_array(size_t size, bool zeroed = false) {
  const size_t bytes = (size > 0 ? size : 1) * sizeof(T);
  void* memory = ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) throw Error("ERR_OUT_OF_MEMORY", "cannot allocate " + std::to_string(bytes) + " bytes");
  if (zeroed) std::memset(memory, 0, bytes);
  return AlignedArray<T>(static_cast<T*>(memory));
}

}  // namespace magnets::cpu
