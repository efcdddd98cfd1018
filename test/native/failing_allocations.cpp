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

}  // namespace

// The other forms (arrays, nothrow) call these.

void* operator new(size_t size) {
  void* memory = may_allocate() ? std::malloc(size > 0 ? size : 1) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* operator new(size_t size, std::align_val_t alignment) {
  const auto multiple = static_cast<size_t>(alignment);
  void* memory = may_allocate() ? std::aligned_alloc(multiple, (size + multiple - 1) / multiple * multiple) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace magnets::test {

FailingAllocations::FailingAllocations(int64_t before, Memory memory) {
  gone = memory == Memory::gone;
  left = before;
}

FailingAllocations::~FailingAllocations() { left = INT64_MAX; }

bool FailingAllocations::failed() const { return left.load() < 0; }

}  // namespace magnets::test
