// Memory that runs out, on demand: operator new of the whole program, for tests of what happens then.
#pragma once

#include <cstdint>

namespace magnets::test {

/// While it lives, `before` allocations by operator new, of all threads together, succeed, and the next one fails;
/// those after it succeed again (Memory::scarce) or fail too (Memory::gone). One at a time.
enum class Memory { scarce, gone };
class FailingAllocations {
 public:
  FailingAllocations(int64_t before, Memory memory);
  ~FailingAllocations();
  FailingAllocations(const FailingAllocations&) = delete;

  /// Whether one has failed.
  bool failed() const;
};

}  // namespace magnets::test
