#include "failing_allocations.h"

#include <atomic>
#include <climits>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> left{INT64_MAX};  // below 0 once one has failed
std::atomic<bool> gone{false};

bool may_allocate() {
  if (left.load() == INT64_MAX) return true;
  const int64_t before = left.fetch_sub(1);
  return before > 0 || (before < 0 && !gone);
}

void* allocate(size_t size) noexcept { return may_allocate() ? std::malloc(size > 0 ? size : 1) : nullptr; }

void* allocate(size_t size, std::align_val_t alignment) noexcept {
  const auto multiple = static_cast<size_t>(alignment);
  return may_allocate() ? std::aligned_alloc(multiple, (size + multiple - 1) / multiple * multiple) : nullptr;
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Every form: where a sanitizer has its own, the others would not call these.
void* operator new(size_t size) { return or_throw(allocate(size)); }
void* operator new[](size_t size) { return or_throw(allocate(size)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(size_t size, std::align_val_t alignment) { return or_throw(allocate(size, alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return or_throw(allocate(size, alignment)); }
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }

namespace magnets::test {

FailingAllocations::FailingAllocations(int64_t before, Memory memory) {
  gone = memory == Memory::gone;
  left = before;
}

FailingAllocations::~FailingAllocations() { left = INT64_MAX; }

bool FailingAllocations::failed() const { return left.load() < 0; }

}  // namespace magnets::test
