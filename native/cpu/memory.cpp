#include "memory.h"

#include <new>

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace magnets::cpu {

[[maybe_unused]] constexpr size_t kMapped = size_t{1} << 20;

void* allocate_bytes(size_t bytes) noexcept {
#ifndef _WIN32
  if (bytes >= kMapped) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);  // where it cannot be had, small ones do
#endif
    return memory;
  }
#endif
  return ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
}

void free_bytes(void* memory, size_t bytes) noexcept {
#ifndef _WIN32
  if (bytes >= kMapped) {
    munmap(memory, bytes);
    return;
  }
#endif
  ::operator delete (memory, std::align_val_t{kAlignment});
}

void give_back_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) noexcept {
#ifdef __linux__
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory), end = begin + bytes;
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#endif
}

void give_back_freed() noexcept {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace magnets::cpu
